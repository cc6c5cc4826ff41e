/* Not a plugin but a library to preload: pthread_create(3) and fork(2) fail as often as FAULTS says, then work. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

static atomic_int left = -1;

static int fails(void)
{
    const char *faults = getenv("FAULTS");
    int unset = -1;
    atomic_compare_exchange_strong(&left, &unset, faults ? atoi(faults) : 0);
    return atomic_load(&left) > 0 && atomic_fetch_sub(&left, 1) > 0;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
    int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) = dlsym(RTLD_NEXT, "pthread_create");
    return fails() ? EAGAIN : real(thread, attributes, run, argument);
}

pid_t fork(void)
{
    pid_t (*real)(void) = dlsym(RTLD_NEXT, "fork");
    if (!fails())
        return real();
    errno = EAGAIN;
    return -1;
}
