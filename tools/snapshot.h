/* A running server at one moment, as its scoreboards and the kernel tell it to others. */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include <stdbool.h>
#include <switchboard/scoreboard.h>

struct snapshot_worker {
    unsigned worker;                    /* its number within the strategy */
    int pid, tid;                       /* tid 0: a thread for one request */
    uint32_t state;                     /* enum sb_state */
    double seconds;                     /* in that state */
    uint64_t served, errors, left;
    char peer[SB_ADDRESS_TEXT_SIZE];    /* its last caller; "-": none. No byte of it moves a cursor */
};

struct snapshot_generation {
    unsigned number;                    /* 0: of a server that cannot change */
    int pid;
    uint32_t state;                     /* enum sb_generation_state */
    double seconds;                     /* in that state */
    bool known;                         /* it has a scoreboard, and what follows: */
    char handler[64], strategy[64];
    struct snapshot_worker *workers;
    unsigned n_workers;
};

struct snapshot {
    uint64_t taken_ns;                  /* CLOCK_MONOTONIC */
    int pid;
    double seconds;                     /* that it has been up */
    char name[64], control[108];        /* "": none */
    struct sb_totals totals;            /* of all generations, those that have ended too */
    unsigned ended;                     /* generations */
    int waiting;                        /* callers in the kernel; -1: not known */
    struct snapshot_generation *generations;    /* first the one that serves */
    unsigned n_generations;
};

/* target: a pid or a name. 0; -ENOENT: no such server; -EAGAIN: none of its generations serves at this moment; -ENOMEM,
 * -EACCES, -EPROTO. *ret_snapshot is the caller's: snapshot_free(), which accepts what is zero. */
int snapshot_take(const char *target, struct snapshot *ret_snapshot);
void snapshot_free(struct snapshot *snapshot);

/* What such an error means, in words that begin with a small letter. */
const char *snapshot_explain(int error);

#endif
