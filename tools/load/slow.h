/* Slow clients: they connect, send a byte now and then, and never the end of a line. */
#ifndef SLOW_H
#define SLOW_H

#include "run.h"

/* Connects, or rests before the next try. */
void slow_dial(struct run *run, struct client *client, uint64_t now_ns);

/* Sends a byte. */
void slow_drip(struct run *run, struct client *client, uint64_t now_ns);

#endif
