#ifndef REGPROC_CLINUX_H
#define REGPROC_CLINUX_H
// What `import Glibc` leaves out. No system header is included here: with _GNU_SOURCE they differ from the ones Glibc shows.
#include <stddef.h>

/// Names the calling thread (at most 15 bytes).
int regproc_thread_name(const char *name);
/// Fills a buffer with random bytes of the kernel; the number of bytes written, or -1.
long regproc_random(void *buffer, size_t size);
/// The exit code of a wait status, or -1 when a signal ended the process.
int regproc_exit_code(int status);
/// The child dies with the process that started it, also when that one is killed with -9.
int regproc_die_with_parent(int signal);
#endif
