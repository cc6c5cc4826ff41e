/* Threads as every strategy here starts them: with a stack of SB_STACK_SIZE, and the signal mask of the thread in which
 * the program serves. More must not be blocked, for the programs that a handler starts inherit that. The kernel gives a
 * process's signal to its main thread first. Private. */
#ifndef THREAD_H
#define THREAD_H

#include <pthread.h>
#include <stdbool.h>

/* glibc keeps 40 MiB of stacks of ended threads for the next ones: 160 of these, but only 5 of the default 8 MiB. */
#define SB_STACK_SIZE (256 * 1024)

/* Errors: -EAGAIN (a limit), -ENOMEM. */
int sb_thread_start(bool joinable, void *(*run)(void *), void *argument, pthread_t *ret_thread);

/* A condition whose deadlines are those of clock.h. */
void sb_condition_init(pthread_cond_t *condition);

#endif
