/* What the server achieves and costs, twice a second, for the last five minutes. README.md has a sample's JSON. */
#ifndef LAB_NUMBERS_H
#define LAB_NUMBERS_H

#include <jansson.h>
#include "crowd.h"
#include "exchange.h"
#include "stage.h"

#define NUMBERS_EVERY_NS 500000000
#define NUMBERS_KEPT 600

enum metric { METRIC_ANSWERS, METRIC_P50, METRIC_P99, METRIC_ERRORS, METRIC_CPU, METRIC_MEMORY, METRIC_SWITCHES,
              METRIC_CALLS, METRIC_WAITING, METRICS };
extern const char *const metric_names[METRICS];

struct sample {
    uint64_t time_ns;               /* its end, CLOCK_MONOTONIC */
    double ms;                      /* its length */
    double values[METRICS];         /* in the units of README.md; NaN: not known */
    double lost;                    /* additions that were lost, each second; NaN: nobody adds */
    unsigned workers, busy;
};

struct numbers {
    struct sample samples[NUMBERS_KEPT];    /* a ring */
    unsigned count;                 /* all there have been */
    uint64_t zero_ns;
    struct numbers_base {           /* at the end of the last sample */
        uint64_t time_ns, cpu_ns, answers, largest;
        int64_t calls, switches;
        struct crowd_totals totals;
    } base;
    long memory_kb;                 /* 0: not asked for this time */
};

/* Times count from zero_ns. */
void numbers_begin(struct numbers *numbers, const struct stage *stage, const struct crowd *crowd, uint64_t zero_ns);

/* Adds a sample and returns it. */
const struct sample *numbers_take(struct numbers *numbers, const struct stage *stage, const struct crowd *crowd,
                                  const struct exchange *exchange);

/* The n-th that is kept, from the oldest; NULL: there are no more. */
const struct sample *numbers_get(const struct numbers *numbers, unsigned n);

json_t *numbers_json(const struct numbers *numbers, const struct sample *sample);

/* A number as JSON, null where it is not known. */
json_t *number_json(double value);

#endif
