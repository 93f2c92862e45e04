#define _GNU_SOURCE
#include "CLinux.h"

#include <pthread.h>
#include <semaphore.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>

int regproc_thread_name(const char *name) { return pthread_setname_np(pthread_self(), name); }
int regproc_semaphore_wait(void *semaphore, long seconds, long nanoseconds) {
  struct timespec deadline = {.tv_sec = seconds, .tv_nsec = nanoseconds};
  return sem_clockwait(semaphore, CLOCK_MONOTONIC, &deadline);
}
long regproc_random(void *buffer, size_t size) { return getrandom(buffer, size, 0); }
int regproc_exit_code(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : -1; }
int regproc_die_with_parent(int signal) { return prctl(PR_SET_PDEATHSIG, signal); }
