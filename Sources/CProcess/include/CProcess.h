#ifndef REGPROC_CPROCESS_H
#define REGPROC_CPROCESS_H
// gnu_get_libc_version
#include <gnu/libc-version.h>

/// Whether the kernel may dump the memory of this process, and whether others of the same user may look into it (PR_SET_DUMPABLE).
int regproc_set_dumpable(int is_dumpable);

/// The environment: `NAME=value` texts and a null behind them. /proc/self/environ is closed to a process that may not be dumped, unless it
/// is root's.
char *const *regproc_environment(void);
#endif
