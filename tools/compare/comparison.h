/* All that a comparison knows: filled by compare.c, shown by table.c, written by json.c, csv.c and page.c. */
#ifndef COMPARISON_H
#define COMPARISON_H

#include <stdbool.h>
#include <time.h>
#include "../load/load.h"
#include "machine.h"
#include "metrics.h"
#include "statistics.h"
#include "subject.h"
#include "timeline.h"

#define ROUNDS_MAX 100
#define WORKERS_SHOWN 256
#define VERDICT_SIZE 2048

struct scenario;

/* One strategy, and what it reached. */
struct contestant {
    const char *name;               /* as on the command line: "prefork:4", "prefork:4@reuseport" */
    char strategy[128], discipline[16];     /* its parts; discipline "" where none was named */
    char why[SUBJECT_WHY_SIZE];     /* why it was skipped or given up, a sentence; "" */
    bool misused;                   /* that is because of what the command line says */
    unsigned rounds;                /* that it has run */
    unsigned few;                   /* of these, that saw too little of what the scenario is about: only what they
                                     * counted is known of them */
    uint64_t fewest;                /* how little, at worst */
    double (*values)[METRICS];      /* of each round; NaN: not known, or not of this scenario */
    struct histogram *latency;      /* of all rounds together */
    bool bottleneck;                /* the load generator was the limit in half of the rounds or more */
    struct load_example example;    /* of a wrong answer, the first */
    bool died;                      /* the server was killed by a signal or exited by itself, in any round */
    struct subject_worker workers[WORKERS_SHOWN];   /* of the last round */
    unsigned n_workers;
    struct timeline timeline;       /* empty: none was asked for, or it could not be recorded */
};

/* One scenario, and its contestants. */
struct match {
    const struct scenario *scenario;
    const char *handler;            /* as served: "upper" */
    char family[16];                /* "tcp" */
    unsigned workers;               /* N where a strategy has no count of its own */
    unsigned clients;
    double seconds;                 /* of each run, at least; 0: it ends when all requests are done */
    double limit_s;                 /* of each run: it goes on no longer for what it has seen too little of */
    uint64_t needed;                /* how often what it is about must happen in a run */
    unsigned rounds;                /* wanted */
    struct contestant *contestants;
    unsigned n_contestants;
    int baseline;                   /* with which the others are compared: the first with a primary metric; -1: none */
    char verdict[VERDICT_SIZE];     /* sentences with newlines between */
    char **prediction;              /* names of contestants, best first, all malloc'd; NULL: none was asked for */
    unsigned n_prediction;
};

struct comparison {
    int argc;
    char **argv;                    /* the command line */
    time_t started;
    double seconds;                 /* it took */
    bool complete;                  /* false: it was interrupted */
    struct machine machine;
    struct match *matches;
    unsigned n_matches;
};

/* A contestant's values of one metric: `values` has room for ROUNDS_MAX. Returns contestant->rounds. */
unsigned contestant_values(const struct contestant *contestant, enum metric metric, double *values);

struct spread contestant_spread(const struct contestant *contestant, enum metric metric);

/* Beside the match's baseline by the test of statistics.h; LESS and MORE are of the numbers, not of what is better.
 * ret_ratio: of the medians, NaN where one is not known or the baseline's is 0. Without a baseline: TOO_FEW. */
enum difference contestant_compare(const struct match *match, const struct contestant *contestant, enum metric metric,
                                   double *ret_ratio);

/* "faster", "slower" (throughput and latencies), "less", "more" (all else), "too close to call", "too few rounds",
 * "baseline", or "" where nothing is known. */
const char *contestant_judge(const struct match *match, const struct contestant *contestant, enum metric metric);

/* Indices of the contestants whose `metric` is known, the best median first (the smallest where neither is better;
 * equal ones in the order of the command line): ret_order has room for n_contestants. Returns how many. */
unsigned match_rank(const struct match *match, enum metric metric, unsigned *ret_order);

#endif
