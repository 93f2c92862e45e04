#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>

int regproc_thread_name(const char *name) { return pthread_setname_np(pthread_self(), name); }
long regproc_random(void *buffer, size_t size) { return getrandom(buffer, size, 0); }
int regproc_exit_code(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : -1; }
int regproc_die_with_parent(int signal) { return prctl(PR_SET_PDEATHSIG, signal); }

int regproc_semaphore_wait(void *semaphore, long milliseconds) {
  struct timespec deadline;
  clock_gettime(CLOCK_MONOTONIC, &deadline);
  deadline.tv_sec += milliseconds / 1000;
  deadline.tv_nsec += milliseconds % 1000 * 1000000;
  if (deadline.tv_nsec >= 1000000000) {
    deadline.tv_sec += 1;
    deadline.tv_nsec -= 1000000000;
  }
  while (sem_clockwait(semaphore, CLOCK_MONOTONIC, &deadline) != 0) {
    if (errno != EINTR) return -1;
  }
  return 0;
}
