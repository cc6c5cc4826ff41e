/* A fiber that has used up its stack touches the guard below it, and the process dies of SIGSEGV. This says why, first.
 * Private. */
#ifndef FIBER_OVERFLOW_H
#define FIBER_OVERFLOW_H

struct sb_loop;

/* Begins to watch the fibers of this thread's loop, and ends it. While any loop of the process is watched, SIGSEGV has
 * a handler; every other fault it leaves to who had the signal before. Where it cannot be had nothing is said. */
void sb_overflow_watch(struct sb_loop *loop);
void sb_overflow_unwatch(struct sb_loop *loop);

#endif
