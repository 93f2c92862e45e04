#include "CUTF8Proc.h"

const char *regproc_utf8proc_version(void) { return utf8proc_version(); }
