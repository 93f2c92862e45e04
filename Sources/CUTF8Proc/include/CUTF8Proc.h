#ifndef REGPROC_CUTF8PROC_H
#define REGPROC_CUTF8PROC_H
#include <utf8proc.h>

/// The version of the library, e.g. `2.8.0`.
const char *regproc_utf8proc_version(void);
#endif
