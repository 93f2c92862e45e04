#ifndef REGPROC_CPROCESS_H
#define REGPROC_CPROCESS_H
/// Whether the kernel may dump the memory of this process, and whether others of the same user may look into it (PR_SET_DUMPABLE).
int regproc_set_dumpable(int is_dumpable);
#endif
