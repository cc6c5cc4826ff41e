/* A server in this process, for the load generator. */
#ifndef ANSWERING_H
#define ANSWERING_H

#include <stdatomic.h>
#include <switchboard/switchboard.h>
#include "../../tools/load/load.h"

#define SECOND_NS   1000000000ull
#define MS_NS       1000000ull
#define CALLS_ROOM  64

/* What its handlers saw. */
extern struct seen {
    _Atomic unsigned connections, now, poison, resets;
    _Atomic unsigned short ports[CALLS_ROOM];       /* of the n-th connection or datagram */
} seen;

/* Serves, each connection in a thread of its own. Returns a plan for it: 8 clients, 40 requests. */
struct load_plan serve_with(int (*handle)(struct sb_request *), const char *address);
void end_server(void);

/* Handlers: each line in capitals, up to one that begins with "poison". */
int upper(struct sb_request *request);

/* Hears the caller out and says nothing. */
int silent(struct sb_request *request);

/* Runs it, and holds the result to what is always so. */
struct load_result *run(const struct load_plan *plan);

void wait_until_at_least(const volatile _Atomic unsigned *value, unsigned wanted);
void wait_until_equal(const volatile _Atomic unsigned *value, unsigned wanted);

#endif
