#ifndef REGPROC_CCURL_H
#define REGPROC_CCURL_H
#include <curl/curl.h>

// `curl_easy_setopt`, `curl_easy_getinfo` and `curl_multi_setopt` are variadic, which Swift cannot call.
typedef size_t (*regproc_curl_sink)(char *bytes, size_t size, size_t count, void *context);
typedef int (*regproc_curl_seek)(void *context, curl_off_t offset, int origin);

CURLcode regproc_curl_set_number(CURL *handle, CURLoption option, long value);
CURLcode regproc_curl_set_size(CURL *handle, CURLoption option, curl_off_t value);
CURLcode regproc_curl_set_text(CURL *handle, CURLoption option, const char *value);
CURLcode regproc_curl_set_pointer(CURL *handle, CURLoption option, const void *value);
CURLcode regproc_curl_set_sink(CURL *handle, CURLoption option, regproc_curl_sink value);
CURLcode regproc_curl_set_seek(CURL *handle, CURLoption option, regproc_curl_seek value);
CURLMcode regproc_curl_multi_set_number(CURLM *multi, CURLMoption option, long value);
CURLcode regproc_curl_get_number(CURL *handle, CURLINFO info, long *value);
CURLcode regproc_curl_get_size(CURL *handle, CURLINFO info, curl_off_t *value);
CURLcode regproc_curl_get_pointer(CURL *handle, CURLINFO info, void **value);
/// The result inside a "done" message (a C union).
CURLcode regproc_curl_message_result(const CURLMsg *message);
/// What a read function answers to end a transfer (a macro with a cast).
static const size_t regproc_curl_read_abort = CURL_READFUNC_ABORT;
#endif
