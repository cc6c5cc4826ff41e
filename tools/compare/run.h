/* One run: a fresh server, a load from a process of its own, and what both have to tell. */
#ifndef RUN_H
#define RUN_H

#include "../load/load.h"
#include "comparison.h"

struct run_plan {
    struct subject_plan subject;
    struct load_plan load;          /* its address is set by run_once(); hold: until the server's memory has been read;
                                     * calls_room: requests to record for a timeline */
};

/* What a run has found out. Zeroed: nothing. */
struct run {
    struct load_result load;
    bool died;                      /* the server ended by itself */
    struct rusage usage;            /* its whole life */
    int64_t calls;                  /* system calls of its whole life, -1: not known */
    long pss_kb;                    /* peak */
    double connection_kb;           /* stays: what each connection has added; NaN otherwise */
    unsigned processes, threads;
    struct subject_worker workers[WORKERS_SHOWN];
    unsigned n_workers;
    struct timeline timeline;       /* the caller's: timeline_finish(); empty without calls */
};

/* A server's life without any request: what starting and ending costs. Only usage and calls are set. */
int run_blank(const struct run_plan *plan, const volatile bool *stop, struct run *ret_run,
              char why[SUBJECT_WHY_SIZE]);

/* tick (may be NULL) is called about ten times a second while it runs. Returns 0; -ECANCELED when *stop gets true
 * meanwhile; or -errno with a sentence in why, when the server or the load could not start. Nothing is left behind. */
int run_once(const struct run_plan *plan, const volatile bool *stop, void (*tick)(void *data), void *data,
             struct run *ret_run, char why[SUBJECT_WHY_SIZE]);

#endif
