#ifndef REGPROC_CLINUX_H
#define REGPROC_CLINUX_H
// What `import Glibc` leaves out. No system header is included here: with _GNU_SOURCE they differ from the ones Glibc shows.
#include <stddef.h>

/// Names the calling thread (at most 15 bytes).
int regproc_thread_name(const char *name);
/// Waits for a semaphore (a `sem_t`) until a moment of CLOCK_MONOTONIC, which nobody sets; 0, or -1 with `errno`.
int regproc_semaphore_wait(void *semaphore, long seconds, long nanoseconds);
/// Fills a buffer with random bytes of the kernel; the number of bytes written, or -1.
long regproc_random(void *buffer, size_t size);
/// The exit code of a wait status, or -1 when a signal ended the process.
int regproc_exit_code(int status);
/// The child dies with the process that started it, also when that one is killed with -9.
int regproc_die_with_parent(int signal);
/// What `regproc_spawn` shall start. A descriptor of -1 means /dev/null; `uid` of -1 means: as the caller.
struct regproc_spawn_plan {
  const char *const *argv;
  const char *const *envp;
  unsigned uid;
  unsigned gid;
  /// The signal the kernel sends to the child when the *thread* that called `regproc_spawn` ends; 0 for none.
  int death_signal;
  int stdout_fd;
  int stderr_fd;
  /// The folder it starts in; NULL for /.
  const char *folder;
};
/// Starts argv[0] (an absolute path) in a session of its own, with default signals, without inherited
/// descriptors and, when a uid is given, as that user alone. The process id, or -errno of the step that failed.
int regproc_spawn(const struct regproc_spawn_plan *plan);
/// Writes what the kernel holds back of the file system of a descriptor to its disk; 0 or -errno.
int regproc_sync_file_system(int fd);
#endif
