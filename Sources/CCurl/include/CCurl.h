#ifndef REGPROC_CCURL_H
#define REGPROC_CCURL_H
#include <curl/curl.h>
#endif
