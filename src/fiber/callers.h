/* Whom a loop takes in, and when: accepting, and callers who have not spoken yet. Private. */
#ifndef FIBER_CALLERS_H
#define FIBER_CALLERS_H

#include "task.h"

/* Takes a request over: runs it on a fiber of its own, at once or, where the handler needs nothing else, when the
 * caller has spoken, or when there are fibers again: then 1. -errno: it could not. */
int sb_callers_start(struct sb_loop *loop, struct sb_caller *caller);

/* Starts those held who have spoken; those whose time to do so is over have a reason to go on. */
void sb_callers_start_arrived(struct sb_loop *loop);
void sb_callers_expire(struct sb_loop *loop);

/* Takes in some who wait at the gate: -ECANCELED: the loop shall end, or why it has to. resume: looks again after a
 * pause, or -errno, too. */
int sb_callers_accept(struct sb_loop *loop);
int sb_callers_resume(struct sb_loop *loop);

#endif
