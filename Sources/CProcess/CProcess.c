#define _GNU_SOURCE
#include "CProcess.h"

#include <sys/prctl.h>
#include <unistd.h>

int regproc_set_dumpable(int is_dumpable) { return prctl(PR_SET_DUMPABLE, is_dumpable, 0, 0, 0); }

char *const *regproc_environment(void) { return environ; }
