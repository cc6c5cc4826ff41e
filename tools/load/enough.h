/* How long a run goes on: for its count or its time, beyond them until it has seen enough, and then for the last
 * answers. */
#ifndef ENOUGH_H
#define ENOUGH_H

#include "run.h"

/* Something was heard of the server: it is not at rest. What it says to those who are slow gives the others no hope. */
void enough_hear(struct run *run, const struct client *client);

/* Puts the end off where the time is over and more has to be seen, and notes whether the run lingers. At least each
 * RUN_TICK_NS. */
void enough_look(struct run *run, uint64_t now_ns);

/* Whether the plan's count has begun, and no more are needed. */
bool enough_is_begun(const struct run *run);

/* No more requests begin: when those under way are waited for no longer, */
uint64_t enough_last_ns(const struct run *run);

/* and whether they are not now: it is past that, or the server is at rest and will answer nobody any more. */
bool enough_is_waited(const struct run *run, uint64_t now_ns);

#endif
