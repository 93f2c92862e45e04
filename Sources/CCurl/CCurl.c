#include "CCurl.h"

CURLcode regproc_curl_set_number(CURL *h, CURLoption o, long v) { return curl_easy_setopt(h, o, v); }
CURLcode regproc_curl_set_size(CURL *h, CURLoption o, curl_off_t v) { return curl_easy_setopt(h, o, v); }
CURLcode regproc_curl_set_text(CURL *h, CURLoption o, const char *v) { return curl_easy_setopt(h, o, v); }
CURLcode regproc_curl_set_pointer(CURL *h, CURLoption o, const void *v) { return curl_easy_setopt(h, o, v); }
CURLcode regproc_curl_set_sink(CURL *h, CURLoption o, regproc_curl_sink v) { return curl_easy_setopt(h, o, v); }
CURLcode regproc_curl_set_seek(CURL *h, CURLoption o, regproc_curl_seek v) { return curl_easy_setopt(h, o, v); }
CURLMcode regproc_curl_multi_set_number(CURLM *m, CURLMoption o, long v) { return curl_multi_setopt(m, o, v); }
CURLcode regproc_curl_get_number(CURL *h, CURLINFO i, long *v) { return curl_easy_getinfo(h, i, v); }
CURLcode regproc_curl_get_size(CURL *h, CURLINFO i, curl_off_t *v) { return curl_easy_getinfo(h, i, v); }
CURLcode regproc_curl_get_pointer(CURL *h, CURLINFO i, void **v) { return curl_easy_getinfo(h, i, v); }
CURLcode regproc_curl_message_result(const CURLMsg *m) { return m->data.result; }
