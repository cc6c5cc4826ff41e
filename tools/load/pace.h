/* Who begins a request, and when: in a closed loop whoever is free, in an open one at the rate. */
#ifndef PACE_H
#define PACE_H

#include "run.h"

/* When the next request may begin, if a client is free; UINT64_MAX: never. */
uint64_t pace_next_ns(const struct run *run);

/* Whether one may begin now. */
bool pace_is_due(const struct run *run, uint64_t now_ns);

/* Begins those that may, at most so many. */
void pace_begin(struct run *run, unsigned most);

/* Requests of an open loop that were due before its end, and will not begin. */
uint64_t pace_waiting(const struct run *run);

#endif
