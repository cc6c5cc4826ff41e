/* A load generator: one thread, many clients, every answer checked.
 *
 * Closed loop: each client waits for its answer before it asks again, so a server that stalls is asked less, and hides
 * its stall. Open loop: requests are due at a fixed rate, whatever the server does, and a latency counts from when its
 * request was due (Gil Tene, "coordinated omission"). */
#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <switchboard/address.h>
#include "histogram.h"

#define LOAD_CLIENTS_MAX 1000000
#define LOAD_WHY_SIZE 160
#define LOAD_EXAMPLE_SIZE 64
#define LOAD_LOOK_MS 100
#define LOAD_QUESTION_SIZE_MAX 65507    /* bytes of the largest datagram over IPv4 */

/* What is asked, and what must come back. */
enum load_expects {
    LOAD_CAPITALS,      /* a line of 64 bytes, another one for each request; the same in capitals must come back */
    LOAD_TEXT,          /* always `question`; exactly `answer` must come back */
    LOAD_NUMBER,        /* always `question`; a line with a decimal number must come back; the largest is kept */
    LOAD_LINE,          /* always `question`; a line must come back, whatever is in it */
};

struct load_dialogue {
    enum load_expects expects;
    const char *question, *answer;          /* not NUL-terminated; unused under LOAD_CAPITALS */
    size_t question_size, answer_size;      /* question_size at least 1; answer_size: LOAD_TEXT only */
};

/* One request for a picture of the run. Times by CLOCK_MONOTONIC. */
struct load_call {
    uint64_t called_ns;         /* when it began: connecting, or, where the connection is there, sending */
    uint64_t ended_ns;          /* when its answer was complete, or it had failed; 0: not yet */
    uint16_t port;              /* the client's; 0 on Unix sockets */
    bool answered;
};

/* What is known of the server while a load runs: written by whoever watches it, read by the load. */
struct load_server {
    unsigned rests;             /* looks one after the other, LOAD_LOOK_MS apart, that found it asleep; the load sets it
                                 * back to 0 whenever it hears something */
    bool gone;                  /* it has ended */
};

struct load_plan {
    struct sb_address address;
    bool talk;                  /* false: each request on a connection of its own; with datagrams always true */
    unsigned clients;           /* at least 1, slow ones included */
    unsigned slow;              /* of the clients: connect first, send a byte each drip_ms, and never end; they are not
                                 * counted in the result */
    unsigned drip_ms;           /* 0: they are silent */
    unsigned think_ms;          /* closed loop: how long a client rests after an answer before it asks again */
    double rate;                /* requests each second of the open loop; 0: closed loop */
    uint64_t count;             /* no more requests than this, poison only where all is; 0: no limit */
    uint64_t duration_ns;       /* no request begins later than this; 0: no limit (then count is set) */
    uint64_t least_ended;       /* but requests go on to begin until so many have ended, with an answer or without, */
    uint64_t least_poisoned;    /* and so many were poison: as long as it takes, up to limit_ns */
    uint64_t limit_ns;          /* no request begins later than this in any case; 0: no limit, and the least is 0 */
    struct load_server *server; /* what the watcher says; NULL: nobody watches. Once no more requests begin, those that
                                 * a server at rest leaves without answer are given up */
    bool in_vain;               /* it does not go on for the least either with a server that is at rest */
    uint64_t patience_ns;       /* how long an answer may take before it is given up, not 0 */
    uint64_t grace_ns;          /* how long the last answers may take once no more requests begin; then they count as
                                 * unanswered; at most patience_ns */
    struct load_dialogue dialogue;
    const char *poison;         /* instead of each poison_each-th request (1: all of them) this line is sent, and no answer expected: the
                                 * connection ends; NULL: none. Streams, not talk */
    unsigned poison_each;
    bool hold;                  /* connections stay when all is done, until *stop of load_run() */
    int cpu;                    /* the only CPU that a generator of its own may use (generator.h); -1: any */
    struct load_call *calls;    /* the first calls_room requests are recorded here; NULL: none */
    unsigned calls_room;
};

/* A wrong answer, for a look at it: the beginnings of what was asked and of what came; sizes as far as kept. */
struct load_example {
    size_t question_size, answer_size;      /* question_size 0: there was none */
    char question[LOAD_EXAMPLE_SIZE], answer[LOAD_EXAMPLE_SIZE];
};

struct load_result {
    uint64_t begun;             /* requests, poison not counted */
    uint64_t answered;          /* rightly */
    uint64_t refused;           /* no connection: ECONNREFUSED and what else connect(2) may say; no datagram sent */
    int refusal;                /* the errno of the last one refused; 0: none was */
    uint64_t cut_off;           /* ended or reset before the whole answer had come */
    uint64_t wrong;             /* another answer than expected */
    struct load_example example;        /* the first of them */
    uint64_t unanswered;        /* given up after patience_ns or grace_ns */
    uint64_t poisoned;          /* poison sent */
    uint64_t called_again;      /* connections whose first SYN was lost: the backlog was full (TCP_INFO) */
    uint64_t largest_number;    /* LOAD_NUMBER */
    uint64_t elapsed_ns;        /* from the first request to the last answer */
    uint64_t cpu_ns;            /* what the generator itself used in that time */
    uint64_t late;              /* open loop: begun over 1 ms late although a client was free: the generator's fault */
    uint64_t waiting;           /* open loop: were due within duration_ns and never begun, for want of a free client */
    uint64_t outage_ns;         /* the longest time between a failed request and the next answer; to the end if none */
    double fairness;            /* Jain's index of the answers of each client that is not slow: 1 all alike, 1/n one
                                 * has all; closed loop only, else 1 */
    unsigned connected;         /* talk: clients with a connection when all was done */
    unsigned n_calls;
    bool lingers;               /* its count or time is over, and it goes on or waits: the server is to be watched */
    bool done;                  /* set last; with hold, before the connections end */
    struct histogram latency;   /* of the answered: from when it was due (open loop) or begun (closed loop) */
    struct histogram service;   /* the same from when it was really begun */
    char why[LOAD_WHY_SIZE];    /* why it could not run, a phrase; or empty */
};

/* Runs to its end, or until *stop gets true (a signal handler may do that; NULL: never), which it sees within 100 ms;
 * requests that are under way then do not count. The result may lie in shared memory: its numbers grow while it runs.
 * Returns 0, or -errno with result->why when it could not begin: -EMFILE too few descriptors (said with the limit and
 * the command that raises it), -ENOMEM, -EINVAL a senseless plan. What a server does or leaves undone is no error, but
 * counted. One call at a time in a process. */
int load_run(const struct load_plan *plan, const volatile bool *stop, struct load_result *ret_result);

/* Requests that did not get their answer. */
uint64_t load_errors(const struct load_result *result);

/* The generator itself was the limit: it had hardly a moment's rest, or, half busy, began too many requests late. */
bool load_was_bottleneck(const struct load_plan *plan, const struct load_result *result);

#endif
