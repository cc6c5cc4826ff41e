/* A thread's loop: accepts, runs each request on a fiber, and waits for what the fibers wait for. Private. */
#ifndef FIBER_LOOP_H
#define FIBER_LOOP_H

#include "../gate.h"
#include "engine.h"

/* Serves with this gate until a stop, then until its requests have ended or were cut off. serve: runs on a fiber, and
 * ends the request. held_up: whether it was said that a handler holds up its loop. */
int sb_loop_run(struct sb_gate *gate, const struct sb_engine *engine, atomic_bool *held_up,
                void (*serve)(struct sb_request *request));

#endif
