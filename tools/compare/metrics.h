/* What is measured: one list for the table, the report, JSON and CSV. */
#ifndef METRICS_H
#define METRICS_H

#include <stdbool.h>

enum metric {
    THROUGHPUT,         /* answers each second */
    CPU_US,             /* processor time of the server for each request: user and system, all its processes */
    USER_US, SYSTEM_US,
    SWITCHES,           /* context switches for each request, voluntary and not */
    VOLUNTARY,          /* voluntary ones only: how often somebody went to sleep, and had to be woken */
    SYSCALLS,           /* system calls for each request; unknown where the kernel does not tell */
    PSS_KB,             /* peak memory: proportional set size of all processes together, shared pages count once */
    CONNECTION_KB,      /* what it has grown by for each connection that stays */
    PROCESSES, THREADS, /* most at a time */
    P50_US, P90_US, P99_US, P99_9_US, MAX_US,       /* latency */
    ANSWERS,            /* requests answered */
    ERRORS,             /* requests without their answer: refused, cut off, wrong, unanswered */
    REFUSED, CUT_OFF, WRONG, UNANSWERED,
    POISONED,           /* requests that were meant to kill */
    LOST_EACH,          /* requests lost besides, for each that was meant to kill */
    OUTAGE_MS,          /* the longest time without service */
    CALLED_AGAIN,       /* callers for whom the backlog had no place */
    FAIRNESS,           /* Jain's index */
    LARGEST,            /* the largest number that a caller was told */
    TOTAL_CPU_S,        /* processor time of the server's whole life */
    CONTROL_CPU_S,      /* the same less that of the iterative server: process control (UNP) */
    METRICS
};

struct metric_info {
    const char *name;           /* in JSON and CSV */
    const char *title;          /* for people */
    const char *column;         /* the same above a column: one short line, or two with a newline between */
    const char *unit;           /* "" for plain counts */
    int better;                 /* 1 more, -1 less, 0 neither */
    int digits;                 /* behind the point */
    const char *meaning;        /* one line */
};

extern const struct metric_info metric_infos[METRICS];

/* What happened, and how often: true of any run, however little it has seen. */
bool metric_is_count(enum metric metric);

/* Of faults the worst round counts: a median would hide a race. */
bool metric_is_fault(enum metric metric);

#endif
