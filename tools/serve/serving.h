/* Serving itself: loads plugins, makes a server and runs it, in this process. */
#ifndef SERVE_SERVING_H
#define SERVE_SERVING_H

#include "options.h"

/* Returns the exit status. generation: for whom it serves; NULL: for itself, and then it prints its ready lines.
 * Signals are taken as switchboard-serve(1) and, of a generation, switchboard/generation.h have it. */
int serving_run(const struct serve_arguments *arguments, struct sb_generation *generation);

/* The ready line of an address, with the pid of this process. */
void serving_print_ready(const char *address, const char *handler, const char *strategy);

#endif
