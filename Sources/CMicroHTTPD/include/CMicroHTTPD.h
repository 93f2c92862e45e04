#ifndef REGPROC_CMICROHTTPD_H
#define REGPROC_CMICROHTTPD_H
#include <microhttpd.h>
#endif
