#include "thread.h"

static pthread_attr_t joinable_attributes, detached_attributes;

static void init_one(pthread_attr_t *attributes, int detach_state)
{
    pthread_attr_init(attributes);
    pthread_attr_setstacksize(attributes, SB_STACK_SIZE);
    pthread_attr_setdetachstate(attributes, detach_state);
}

static void init_attributes(void)
{
    init_one(&joinable_attributes, PTHREAD_CREATE_JOINABLE);
    init_one(&detached_attributes, PTHREAD_CREATE_DETACHED);
}

int sb_thread_start(bool joinable, void *(*run)(void *), void *argument, pthread_t *ret_thread)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_attributes);
    return -pthread_create(ret_thread, joinable ? &joinable_attributes : &detached_attributes, run, argument);
}

void sb_condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}
