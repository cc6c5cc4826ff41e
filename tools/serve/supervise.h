/* A server that changes while it serves: its supervisor (switchboard/generation.h), which is asked by signals and over
 * control. */
#ifndef SERVE_SUPERVISE_H
#define SERVE_SUPERVISE_H

#include "options.h"

/* Serves until all generations have ended. Returns the exit status, or ends the process by the signal that has ended
 * the generation. */
int supervise(struct serve_arguments *arguments);

#endif
