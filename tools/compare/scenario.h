/* The scenarios: each is a lesson. */
#ifndef SCENARIO_H
#define SCENARIO_H

#include <stdbool.h>
#include <stdio.h>
#include "../load/load.h"
#include "comparison.h"

#define SCENARIO_METRICS_MAX 8

/* What a scenario is about, and how often it must have happened in a run for the figures to mean anything. A run goes
 * on until it has, beyond its time, as far as the limit allows; where it has not, only its counts are kept. */
enum happening {
    ENDED,                          /* requests that came to an end: with an answer, or without one in the end */
    ANSWERED,                       /* requests with an answer */
    KILLED,                         /* handlers killed; or the server, with which all has been said */
};

struct need {
    enum happening of;
    unsigned least;                 /* 0: each caller's (first) request, or all where requests_each counts them */
    const char *noun;               /* "answers" */
};

struct scenario {
    const char *name, *title;
    const char *lesson;             /* one sentence: what it shows and why */
    const char *family;             /* "tcp", "udp" */
    const char *handler;            /* its own, with a dialogue of its own; NULL: the one of the command line */
    const char *strategies;         /* by default, N for --workers; NULL: the usual ones */
    const char *arguments[4];       /* more of serve's, NULL-terminated */

    enum metric primary;            /* what decides */
    enum metric shown[SCENARIO_METRICS_MAX];    /* the table's columns, ended by METRICS or full; primary among them */

    unsigned clients;               /* by default; those that are slow come on top */
    unsigned workers;               /* by default; 0: the usual number */
    unsigned requests_each;         /* for each client, then the run ends; 0: it ends by --seconds */
    struct need need;
    bool talk;                      /* connections stay for the next request */
    bool slow_crew;                 /* as many slow clients as there are workers */
    bool in_vain;                   /* callers may wait for ever: it ends when a server at rest leaves them waiting */
    bool cut;                       /* who waits when its time is over is not waited for */
    bool stays;                     /* connections stay when all have been answered, and the server's memory is read */
    bool poisoned;                  /* each hundredth request kills its handler */
    bool all_cpus;                  /* the server may use every CPU, the load's as well */

    enum load_expects expects;      /* with a handler of its own: */
    const char *question, *answer;  /* answer: NULL: answer_size dots (LOAD_TEXT) */
    size_t answer_size;

    /* What its numbers say, in sentences, a line each. At least one contestant has run. */
    void (*conclude)(const struct match *match, FILE *verdict);
};

extern const struct scenario scenarios[];
extern const unsigned n_scenarios;

/* NULL: there is no such scenario. */
const struct scenario *scenario_find(const char *name);

#endif
