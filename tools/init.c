#include "init.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void reap(pid_t command)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == command)
            _exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

__attribute__((noreturn)) static void look_after(pid_t command, const sigset_t *all)
{
    for (;;) {
        int signo = sigwaitinfo(all, NULL);
        if (signo > 0 && signo != SIGCHLD)
            sigqueue(command, signo, (union sigval){ 0 });
        reap(command);
    }
}

/* A terminal that was ours becomes the new group's. That needs SIGTTOU blocked, as it is. */
static void lead_group(void)
{
    setpgid(0, 0);
    if (tcgetpgrp(STDIN_FILENO) == getpgid(getppid()))
        tcsetpgrp(STDIN_FILENO, getpgrp());
}

void init_become(const char *name)
{
    sigset_t all;
    if (getpid() != 1)
        return;
    signal(SIGCHLD, SIG_DFL);   /* ignored, it would not tell of children */
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    pid_t command = fork();
    if (command > 0)
        look_after(command, &all);
    if (command == 0) {
        lead_group();
        return;
    }
    fprintf(stderr, "%s: cannot start a child, which process 1 needs: %s\n", name, strerror(errno));
    _exit(1);
}
