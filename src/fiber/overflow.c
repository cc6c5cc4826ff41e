#include "overflow.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../handlers.h"
#include "task.h"

#define SIGNAL_STACK_SIZE (64 * 1024)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;    /* guards the next two */
static unsigned watched;
static struct sigaction previous;

/* Async-signal-safe. It returns to the same fault, which then is somebody else's. */
static void on_fault(int signo, siginfo_t *info, void *context)
{
    const struct sb_loop *loop = sb_loop;
    (void)context;
    if (loop && loop->current && sb_fiber_overflows(loop->current->fiber, info->si_addr)) {
        ssize_t written = write(STDERR_FILENO, loop->overflow_text, strlen(loop->overflow_text));
        (void)written;
    }
    sigaction(signo, &previous, NULL);
    if (info->si_code <= 0)     /* somebody has sent it: there is no fault to return to */
        raise(signo);
}

static void write_text(struct sb_loop *loop)
{
    snprintf(loop->overflow_text, sizeof loop->overflow_text, "switchboard: the handler %s has used up the stack of "
             "its fiber, %d KiB: keep less on the stack, or start the server with a larger --stack-size\n",
             sb_server_handler_name(loop->server), loop->server->config.stack_size / 1024);
}

void sb_overflow_watch(struct sb_loop *loop)
{
    struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    write_text(loop);
    loop->signal_stack.ss_size = SIGNAL_STACK_SIZE;
    loop->signal_stack.ss_sp = malloc(SIGNAL_STACK_SIZE);
    if (!loop->signal_stack.ss_sp)
        return;
    sigset_t fault;
    sigemptyset(&fault);
    sigaddset(&fault, SIGSEGV);
    pthread_sigmask(SIG_UNBLOCK, &fault, NULL);     /* a blocked one ends the process without a word */
    sigaltstack(&loop->signal_stack, &loop->previous_signal_stack);
    pthread_mutex_lock(&lock);
    if (watched++ == 0)
        sigaction(SIGSEGV, &action, &previous);
    pthread_mutex_unlock(&lock);
}

void sb_overflow_unwatch(struct sb_loop *loop)
{
    if (!loop->signal_stack.ss_sp)
        return;
    pthread_mutex_lock(&lock);
    if (--watched == 0)
        sigaction(SIGSEGV, &previous, NULL);
    pthread_mutex_unlock(&lock);
    sigaltstack(&loop->previous_signal_stack, NULL);
    free(loop->signal_stack.ss_sp);
}
