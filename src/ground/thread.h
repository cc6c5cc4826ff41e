/* Threads as every strategy here starts them: all signals blocked, so that the program's own thread gets them, and a
 * stack of SB_STACK_SIZE. Private. */
#ifndef THREAD_H
#define THREAD_H

#include <pthread.h>
#include <stdbool.h>

/* glibc keeps 40 MiB of stacks of ended threads for the next ones: 160 of these, but only 5 of the default 8 MiB. */
#define SB_STACK_SIZE (256 * 1024)

/* Errors: -EAGAIN (a limit), -ENOMEM. */
int sb_thread_start(bool joinable, void *(*run)(void *), void *argument, pthread_t *ret_thread);

#endif
