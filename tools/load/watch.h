/* A load in a process of its own, so that this one can watch it. */
#ifndef WATCH_H
#define WATCH_H

#include "load.h"

/* Runs it to its end, or until SIGINT or SIGTERM comes, or nobody has listened for a second; with a line of progress on
 * stderr where that is a terminal. Returns the result, in memory of its own for as long as the program runs; or NULL
 * when it has said why there is none. */
const struct load_result *load_watch(const struct load_plan *plan, const char *address);

#endif
