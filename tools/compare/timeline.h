/* What really happened in a run, request by request: what the callers saw, joined by their ports with the trace of the
 * scoreboard. */
#ifndef TIMELINE_H
#define TIMELINE_H

#include <stddef.h>
#include <switchboard/scoreboard.h>
#include "../load/load.h"

#define TIMELINE_WAITS_MAX 8        /* of one request; further ones are joined to the last */

/* Milliseconds since the first call of the timeline. A request that the server has not taken or not ended before the
 * recording was full has a negative time there. called <= accepted <= began <= ended; answered may be a little before
 * ended. */
struct timeline_request {
    unsigned lane;                  /* of timeline->lanes: whoever handled it; accepted < 0: unused */
    double called_ms;               /* the caller began */
    double accepted_ms;             /* a loop took it: before that it was in the backlog */
    double began_ms, ended_ms;      /* its handler; between accepted and began it waited for a worker */
    double answered_ms;             /* the caller had its answer; negative: never */
    unsigned n_waits;               /* times in which its handler waited: for its caller's bytes, to send, or asleep */
    struct { double from_ms, to_ms; } waits[TIMELINE_WAITS_MAX];
};

/* A worker, that is, a slot of the scoreboard. */
struct timeline_lane {
    unsigned slot;
    int pid, tid;                   /* of its last use */
    unsigned requests;
};

struct timeline {
    struct timeline_request *requests;  /* by called_ms */
    size_t n_requests;
    struct timeline_lane *lanes;        /* in the order in which they first handled one */
    size_t n_lanes;
    unsigned long dropped;              /* changes of state that were not recorded */
};

/* The first changes of state of a server that runs, as its trace tells them. */
struct timeline_record {
    struct sb_trace_reader reader;
    struct sb_trace_event *events;
    unsigned count, room;
};

/* begin: 0, or -ENOMEM. follow: takes in what has happened since; often enough that the ring has it all. follow and
 * finish accept what is zero. */
int timeline_record_begin(struct timeline_record *record, const struct sb_scoreboard *board, unsigned room);
void timeline_record_follow(struct timeline_record *record);
void timeline_record_finish(struct timeline_record *record);

/* Joins a trace (scoreboard.h) with the calls of a load: connections of one request each, or datagrams. What the server
 * did for a port belongs to the last call from that port. A wait that was short (under 20 us) and a small part of its
 * request (under 2 %) is left out. 0 or -ENOMEM. */
int timeline_make(struct timeline_record *record, const struct load_call *calls, unsigned n_calls,
                  struct timeline *ret_timeline);

/* The same without a board, so the lanes' pid and tid, and dropped, are 0. */
int timeline_join(const struct sb_trace_event *events, unsigned n_events, const struct load_call *calls,
                  unsigned n_calls, struct timeline *ret_timeline);
void timeline_finish(struct timeline *timeline);

#endif
