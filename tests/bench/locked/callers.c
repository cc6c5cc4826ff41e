#include "callers.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MESSAGE_SIZE = 64, PATIENCE_S = 300 };

struct caller {
    pthread_t thread;
    bool connected;
    int fd;
    long done;
};

static struct caller callers[CALLERS_MAX];
static int n_callers, repetitions;
static enum errand what;
static struct sockaddr_in server;
static atomic_int back;

static bool call(struct caller *caller)
{
    struct timeval patience = { .tv_sec = PATIENCE_S };
    caller->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    caller->connected = caller->fd >= 0;
    return caller->connected &&
           setsockopt(caller->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
           connect(caller->fd, (struct sockaddr *)&server, sizeof server) == 0;
}

static bool exchange(const struct caller *caller)
{
    char question[MESSAGE_SIZE + 1], answer[MESSAGE_SIZE];
    snprintf(question, sizeof question, "caller %3d asks: %-45s\n", (int)(caller - callers), "abcdefgh ABCDEFGH 0123");
    if (send(caller->fd, question, MESSAGE_SIZE, MSG_NOSIGNAL) != MESSAGE_SIZE ||
        recv(caller->fd, answer, MESSAGE_SIZE, MSG_WAITALL) != MESSAGE_SIZE)
        return false;
    for (int i = 0; i < MESSAGE_SIZE; i++)
        if (answer[i] != toupper((unsigned char)question[i]))
            return false;
    return true;
}

static void hang_up(struct caller *caller)
{
    if (caller->connected)
        close(caller->fd);
    caller->connected = false;
}

static void go(struct caller *caller)
{
    bool good = true;
    for (int i = 0; i < repetitions && good; i++) {
        if (what == CALL || what == OPEN)
            good = call(caller);
        good = good && exchange(caller);
        if (what == CALL)
            hang_up(caller);
        caller->done += good;
    }
}

static void *caller_main(void *arg)
{
    struct caller *caller = arg;
    if (what == CLOSE)
        hang_up(caller);
    else
        go(caller);
    atomic_fetch_add(&back, 1);
    return NULL;
}

/* The signal that is trace_run()'s clock is not for them. */
static int start(struct caller *caller)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int r = pthread_create(&caller->thread, NULL, caller_main, caller);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return -r;
}

int callers_send(enum errand errand, int count, int each, int port)
{
    server = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    what = errand;
    repetitions = each;
    atomic_store(&back, 0);
    for (n_callers = 0; n_callers < count; n_callers++) {
        callers[n_callers].done = 0;
        int r = start(&callers[n_callers]);
        if (r < 0)
            return r;
    }
    return 0;
}

bool callers_are_back(void)
{
    return atomic_load(&back) >= n_callers;
}

long callers_join(void)
{
    long done = 0;
    for (int i = 0; i < n_callers; i++) {
        pthread_join(callers[i].thread, NULL);
        done += callers[i].done;
    }
    n_callers = 0;
    return done;
}
