/* Receiving; what the other verbs need of it. Private. */
#ifndef VERBS_RECEIVE_H
#define VERBS_RECEIVE_H

#include "../objects.h"

/* Receives into the empty input of a stream; returns how much, 0 at the end, or -errno. */
ssize_t sb_fill_input(struct sb_request *request);

/* The line of -v, with control characters made harmless. */
void sb_log_received(struct sb_request *request, const char *data, size_t size);

#endif
