#include "trial.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ground/clock.h"
#include "ground/descriptor.h"

enum { TRIAL_MS = 10000, LOOK_MS = 50, SAID_MAX = 4096, NOT_THERE = 127, NOT_EXECUTABLE = 126 };

__attribute__((noreturn)) static void be_program(const char *path, char *const argv[], int said_fd)
{
    char pid[16];
    sigset_t none;
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    if (getenv("LISTEN_PID"))           /* whose the service manager's sockets are (sd_listen_fds(3)) */
        setenv("LISTEN_PID", pid, 1);
    dup2(said_fd, STDOUT_FILENO);
    dup2(said_fd, STDERR_FILENO);
    for (int signo = 1; signo < NSIG; signo++)
        signal(signo, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execv(path, argv);
    _exit(errno == ENOENT ? NOT_THERE : NOT_EXECUTABLE);
}

/* Its wait status. */
static int wait_for(pid_t pid, bool (*is_over)(const void *data), const void *data)
{
    int64_t deadline_ns = sb_deadline_ns(TRIAL_MS);
    int status = 0;
    struct pollfd ended = { .fd = pidfd_open(pid, 0), .events = POLLIN };
    pid_t waited;
    while ((waited = waitpid(pid, &status, WNOHANG)) != pid && !(waited < 0 && errno == ECHILD)) {
        if (is_over(data) || sb_now_ns() >= deadline_ns)
            kill(pid, SIGKILL);
        if (ended.fd < 0 || poll(&ended, 1, LOOK_MS) < 0)
            sb_nap(LOOK_MS);
    }
    sb_fd_close(&ended.fd);
    return status;
}

/* The last line that it has said, without what is before its first ": "; NULL: nothing. */
static const char *last_line(int said_fd, char text[SAID_MAX])
{
    ssize_t size = pread(said_fd, text, SAID_MAX - 1, 0);
    while (size > 0 && text[size - 1] == '\n')
        size--;
    if (size <= 0)
        return NULL;
    text[size] = '\0';
    char *newline = strrchr(text, '\n'), *line = newline ? newline + 1 : text, *colon = strstr(line, ": ");
    return colon ? colon + 2 : line;
}

static int judge(const char *path, int status, int said_fd, char *why, size_t why_size)
{
    char text[SAID_MAX];
    const char *said = last_line(said_fd, text);
    if (WIFEXITED(status) && WEXITSTATUS(status) == SB_TRIAL_PASSED)
        return 0;
    if (WIFSIGNALED(status))
        snprintf(why, why_size, "%s would not take over: killed by signal %d (%s)", path, WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) == NOT_THERE)
        snprintf(why, why_size, "%s: there is no such file", path);
    else if (WEXITSTATUS(status) == NOT_EXECUTABLE)
        snprintf(why, why_size, "%s cannot be executed", path);
    else if (said)
        snprintf(why, why_size, "%s would not take over: %s", path, said);
    else
        snprintf(why, why_size, "%s would not take over: exit status %d", path, WEXITSTATUS(status));
    return -ENOEXEC;
}

int sb_trial_run(const char *path, char *const argv[], bool (*is_over)(const void *data), const void *data, char *why,
                 size_t why_size)
{
    sigset_t all, mask;
    int said_fd = memfd_create("switchboard-trial", MFD_CLOEXEC);
    int r = said_fd < 0 ? -errno : 0;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &mask);
    pid_t pid = r < 0 ? -1 : fork();
    if (pid == 0)
        be_program(path, argv, said_fd);
    if (r == 0 && pid < 0)
        r = -errno;
    sigprocmask(SIG_SETMASK, &mask, NULL);
    if (r < 0)
        snprintf(why, why_size, "cannot try %s: %s", path, strerror(-r));
    else
        r = judge(path, wait_for(pid, is_over, data), said_fd, why, why_size);
    sb_fd_close(&said_fd);
    return r;
}
