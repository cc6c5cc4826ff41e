#include "signals.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Our init (init.h) sends on what it gets, and a whole group may be sent what it gets: so a signal may come twice at
 * first, once from either. */
enum { DIRECT, SENT_ON, WAYS };

static void (*endings[NSIG])(int signo);
static volatile sig_atomic_t seen[NSIG][WAYS];

void signals_unblock(void)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

void signals_block(void)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
}

void signals_reset(void)
{
    for (int signo = 1; signo < NSIG; signo++)
        signal(signo, SIG_DFL);
    signals_unblock();
}

void signals_leave(int signo)
{
    sigset_t only;
    signal(signo, SIG_DFL);
    sigemptyset(&only);
    sigaddset(&only, signo);
    pthread_sigmask(SIG_UNBLOCK, &only, NULL);
    raise(signo);
    _exit(128 + signo);
}

static void on_ending(int signo, siginfo_t *info, void *context)
{
    volatile sig_atomic_t *times = &seen[signo][info->si_code == SI_QUEUE ? SENT_ON : DIRECT];
    (void)context;
    if (*times)
        signals_leave(signo);
    *times = 1;
    endings[signo](signo);
}

/* Who cannot be stopped must not start. */
static void take(int signo, const struct sigaction *action)
{
    if (sigaction(signo, action, NULL) == 0)
        return;
    fprintf(stderr, "switchboard: cannot handle the signal %s: %s\n", strsignal(signo), strerror(errno));
    exit(1);
}

static bool stays_ignored(int signo)
{
    struct sigaction former;
    return signo == SIGHUP && sigaction(signo, NULL, &former) == 0 && former.sa_handler == SIG_IGN;
}

void signals_end_by(int signo, void (*end)(int signo))
{
    struct sigaction action = { .sa_sigaction = on_ending, .sa_flags = SA_SIGINFO };
    if (stays_ignored(signo))
        return;
    endings[signo] = end;
    take(signo, &action);
}

static void do_nothing(int signo)
{
    (void)signo;
}

void signals_survive(int signo)
{
    struct sigaction action = { .sa_handler = do_nothing, .sa_flags = SA_RESTART };
    if (!stays_ignored(signo))
        take(signo, &action);
}

void signals_obey(int signo, void (*obey)(int signo, siginfo_t *info, void *context))
{
    struct sigaction action = { .sa_sigaction = obey, .sa_flags = SA_SIGINFO | SA_RESTART };
    if (!stays_ignored(signo))
        take(signo, &action);
}
