#include "watch.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "../caller.h"
#include "generator.h"

#define TICK_MS    100
#define NOBODY_MS  1000     /* before it gives up where nobody listens */

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

/* Until the other process has ended. */
static void watch(struct generator *generator, const sigset_t *signals)
{
    const struct timespec tick = { .tv_nsec = TICK_MS * 1000000 };
    struct pollfd ended = { .fd = generator->pid_fd, .events = POLLIN };
    bool terminal = isatty(STDERR_FILENO);
    for (unsigned ms = 0; poll(&ended, 1, 0) == 0; ms += TICK_MS) {
        int signo = sigtimedwait(signals, NULL, &tick);
        if (signo == SIGINT || signo == SIGTERM || (ms >= NOBODY_MS && nobody_listens(generator->result)))
            generator_stop(generator);
        if (terminal && ms % 1000 == 0 && ms > 0)
            show_progress(generator->result, ms);
    }
    if (terminal)
        fputs("\r\033[K", stderr);
}

static void say_nobody_listens(const char *address, int error)
{
    char why[CALLER_WHY_SIZE];
    fprintf(stderr, "switchboard load: nobody answers at %s: %s\n", address, caller_explain(error, address, why));
}

const struct load_result *load_watch(const struct load_plan *plan, const char *address)
{
    static struct generator generator;
    char why[LOAD_WHY_SIZE];
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    int r = generator_start(&generator, plan);
    if (r < 0) {
        fprintf(stderr, "switchboard load: cannot start: %s\n", strerror(-r));
        return NULL;
    }
    watch(&generator, &signals);
    r = generator_wait(&generator, why, sizeof why);
    if (r < 0)
        fprintf(stderr, "switchboard load: %s\n", why);
    else if (nobody_listens(generator.result))
        say_nobody_listens(address, generator.result->refusal);
    else
        return generator.result;
    return NULL;
}
