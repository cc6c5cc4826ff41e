/* What the parts of a run share: its state, and its clients. Each client is free, or has a request, or thinks after an
 * answer, or rests because it was refused, or is a slow one. */
#ifndef RUN_H
#define RUN_H

#include "dialogue.h"
#include "line.h"

#define RUN_BUFFER_SIZE (256 * 1024)        /* larger than any datagram */
#define RUN_REST_NS 10000000                /* before somebody who was refused tries again */
#define RUN_TICK_NS 100000000               /* how often is looked at what no event tells: *stop, the server */

struct client {
    struct place place;         /* first, so that a place is its client */
    uint64_t due_ns, called_ns;
    uint64_t number;            /* of its request */
    uint64_t answers;           /* that it has had in the run */
    struct answer answer;
    struct load_call *call;     /* where its request is recorded, or NULL */
    unsigned sent;              /* bytes of its question; slow: of all it has sent */
    int fd;                     /* -1: no connection */
    bool slow;
    bool busy;                  /* it has a request */
    bool poison;                /* the request is one */
    bool up;                    /* the connection has carried something */
    bool called_again;          /* the backlog was full, and that has been counted */
    bool spoiled;               /* bytes came that nobody had asked for */
    bool watched, watched_out;  /* epoll(7) knows fd, and waits until it can send */
};

struct run {
    const struct load_plan *plan;
    struct load_result *result;
    const volatile bool *stop;  /* it ends when that gets true; NULL: never */
    bool stream, reuses;        /* reuses: a connection serves more than one request */
    int epoll_fd;
    struct client *clients;
    struct line free, asking, thinking, resting, dripping;
    uint64_t begun;             /* poison included */
    unsigned outstanding;       /* requests, poison included */
    uint64_t start_ns, end_ns;  /* no request begins after the end, which is put off while more are needed, */
    uint64_t limit_ns;          /* up to here; UINT64_MAX: without limit */
    uint64_t closed_ns;         /* since when no more requests begin; 0: they do */
    uint64_t failed_ns;         /* the first failure since the last answer; 0: none */
    uint64_t answered_ns;       /* the last answer */
    uint64_t cpu_ns;            /* that the thread had used at the start */
    char *buffer;               /* of RUN_BUFFER_SIZE */
};

/* Who stands first in a line; NULL: nobody. */
static inline struct client *run_first(const struct line *line)
{
    return (struct client *)line_first(line);
}

static inline bool run_is_unix(const struct run *run)
{
    return run->plan->address.sa.sa_family == AF_UNIX;
}

static inline bool run_is_stopped(const struct run *run)
{
    return run->stop && *run->stop;
}

#endif
