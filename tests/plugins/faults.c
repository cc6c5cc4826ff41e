/* Not a plugin but a library to preload, for serve: in the process that serves, which its supervisor has forked.
 * FAULTS=N: so many calls of pthread_create(3) and fork(2) fail, then all work. WORKER_FAULTS=N: in the first N processes
 * that were forked there epoll_ctl(2) fails. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

static atomic_int left = -1;
static int serves, forked;
static int is_faulty;

static int number(const char *name)
{
    const char *text = getenv(name);
    return text ? atoi(text) : 0;
}

static int fails(void)
{
    int unset = -1;
    atomic_compare_exchange_strong(&left, &unset, number("FAULTS"));
    return serves && atomic_load(&left) > 0 && atomic_fetch_sub(&left, 1) > 0;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
    int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) = dlsym(RTLD_NEXT, "pthread_create");
    return fails() ? EAGAIN : real(thread, attributes, run, argument);
}

pid_t fork(void)
{
    pid_t (*real)(void) = dlsym(RTLD_NEXT, "fork");
    if (fails()) {
        errno = EAGAIN;
        return -1;
    }
    int is_next_faulty = serves && forked++ < number("WORKER_FAULTS");
    pid_t pid = real();
    if (pid == 0) {
        serves = 1;
        is_faulty = is_next_faulty;
    }
    return pid;
}

int epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
    int (*real)(int, int, int, struct epoll_event *) = dlsym(RTLD_NEXT, "epoll_ctl");
    if (!is_faulty)
        return real(epoll_fd, operation, fd, event);
    errno = ENOMEM;
    return -1;
}
