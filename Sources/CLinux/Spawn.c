#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// The parent may have many threads, so between fork and exec only async-signal-safe calls are allowed. The identity is changed
// by bare system calls: glibc's wrappers would tell "all threads" and take locks that another thread may have held at the fork.

static void keep_descriptors_from_child(void) {
  if (syscall(SYS_close_range, 3u, ~0u, 4u /* CLOSE_RANGE_CLOEXEC, Linux 5.11 */) == 0) return;
  for (int fd = 3; fd < 65536; fd++) fcntl(fd, F_SETFD, FD_CLOEXEC);
}

static int become(const struct regproc_spawn_plan *plan, int null_fd, pid_t parent) {
  struct sigaction standard = {.sa_handler = SIG_DFL};
  for (int number = 1; number < NSIG; number++) sigaction(number, &standard, NULL);
  if (setsid() < 0) return errno;
  if (chdir(plan->folder == NULL ? "/" : plan->folder) != 0) return errno;
  int out = plan->stdout_fd < 0 ? null_fd : plan->stdout_fd;
  int err = plan->stderr_fd < 0 ? null_fd : plan->stderr_fd;
  if (dup2(null_fd, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0) return errno;
  keep_descriptors_from_child();
  if (plan->uid != (unsigned)-1) {
    gid_t group = plan->gid;
    if (syscall(SYS_setgroups, 1, &group) != 0) return errno;
    if (syscall(SYS_setresgid, plan->gid, plan->gid, plan->gid) != 0) return errno;
    if (syscall(SYS_setresuid, plan->uid, plan->uid, plan->uid) != 0) return errno;
  }
  // After the change of identity, which clears it.
  if (plan->death_signal != 0) {
    if (prctl(PR_SET_PDEATHSIG, plan->death_signal) != 0) return errno;
    if (getppid() != parent) return ESRCH;
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  execve(plan->argv[0], (char *const *)plan->argv, (char *const *)plan->envp);
  return errno;
}

int regproc_spawn(const struct regproc_spawn_plan *plan) {
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) return -errno;
  int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null_fd < 0) {
    int failure = errno;
    close(report[0]);
    close(report[1]);
    return -failure;
  }
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_t parent = getpid();
  pid_t child = fork();
  if (child == 0) {
    int failure = become(plan, null_fd, parent);
    ssize_t ignored = write(report[1], &failure, sizeof failure);
    (void)ignored;
    _exit(127);
  }
  int failure = child < 0 ? errno : 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  close(report[1]);
  close(null_fd);
  if (child > 0) {
    ssize_t got;
    do got = read(report[0], &failure, sizeof failure);
    while (got < 0 && errno == EINTR);
    if (got != sizeof failure) failure = 0;
  }
  close(report[0]);
  if (child > 0 && failure != 0) {
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
    return -failure;
  }
  return failure != 0 ? -failure : child;
}

int regproc_sync_file_system(int fd) { return syncfs(fd) == 0 ? 0 : -errno; }
