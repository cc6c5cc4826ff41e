#include "watch.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TICK_MS    100
#define NOBODY_MS  1000     /* before it gives up where nobody listens */

/* Shared by both processes. */
struct watched {
    struct load_result result;
    int r;                  /* of load_run() */
    volatile bool stop;
};

static void run(struct watched *watched, const struct load_plan *plan, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent)
        watched->r = load_run(plan, &watched->stop, &watched->result);
    _exit(0);
}

static bool nobody_listens(const struct load_result *result)
{
    return result->refused > 0 && load_errors(result) == result->refused && result->answered == 0;
}

static void show_progress(const struct load_result *result, unsigned ms)
{
    fprintf(stderr, "\r%u s: %" PRIu64 " answered, %" PRIu64 " errors\033[K", ms / 1000, result->answered,
            load_errors(result));
    fflush(stderr);
}

/* Until the other process has ended; returns its status. */
static int watch(struct watched *watched, pid_t pid, const sigset_t *signals)
{
    const struct timespec tick = { .tv_nsec = TICK_MS * 1000000 };
    bool terminal = isatty(STDERR_FILENO);
    int status = 0;
    for (unsigned ms = 0; waitpid(pid, &status, WNOHANG) == 0; ms += TICK_MS) {
        int signo = sigtimedwait(signals, NULL, &tick);
        if (signo == SIGINT || signo == SIGTERM || (ms >= NOBODY_MS && nobody_listens(&watched->result)))
            watched->stop = true;
        if (terminal && ms % 1000 == 0 && ms > 0)
            show_progress(&watched->result, ms);
    }
    if (terminal)
        fputs("\r\033[K", stderr);
    return status;
}

static void say_nobody_listens(const char *address, int error)
{
    bool absent = error == ECONNREFUSED || error == ENOENT;
    fprintf(stderr, "switchboard load: nobody answers at %s: %s", address, strerror(error));
    if (absent)
        fprintf(stderr, "; start a server with 'switchboard serve upper %s'", address);
    fputc('\n', stderr);
}

static const struct load_result *explain(const struct watched *watched, int status, const char *address)
{
    if (status != 0)
        fprintf(stderr, "switchboard load: the process that makes the load was killed: %s\n",
                strsignal(WTERMSIG(status)));
    else if (watched->r < 0)
        fprintf(stderr, "switchboard load: %s\n", watched->result.why);
    else if (nobody_listens(&watched->result))
        say_nobody_listens(address, watched->result.refusal);
    else
        return &watched->result;
    return NULL;
}

const struct load_result *load_watch(const struct load_plan *plan, const char *address)
{
    struct watched *watched = mmap(NULL, sizeof *watched, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t parent = getpid(), pid = -1;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    if (watched != MAP_FAILED)
        pid = fork();
    if (pid == 0)
        run(watched, plan, parent);
    if (pid < 0) {
        fprintf(stderr, "switchboard load: cannot start: %s\n", strerror(errno));
        return NULL;
    }
    return explain(watched, watch(watched, pid, &signals), address);
}
