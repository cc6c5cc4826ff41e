/* The callers: the load, and those beside it whom a button sends. Each lot is a process (../load/generator.h). */
#ifndef LAB_CROWD_H
#define LAB_CROWD_H

#include "../load/generator.h"
#include "orders.h"
#include "stage.h"

#define CROWD_LOTS_MAX 24
#define CROWD_BURST 200             /* callers of one */
#define CROWD_PATIENCE_S 10

enum crowd_task { CROWD_LOAD, CROWD_SLOW, CROWD_BURST_OF_CALLERS, CROWD_CRASH, CROWD_HOLD, CROWD_TASKS };

struct crowd_lot {
    struct generator generator;     /* pid 0: the place is free */
    enum crowd_task task;
    bool leaves;                    /* it was told to end */
    char question[ORDER_TEXT_SIZE + 1];
};

/* What all have seen since the lab began. */
struct crowd_totals {
    uint64_t answered, errors;
    struct histogram latency;
};

struct crowd {
    struct order_load load;
    struct crowd_lot lots[CROWD_LOTS_MAX];
    struct crowd_totals gone;       /* of lots that have ended */
    char why[LOAD_WHY_SIZE];        /* why the last one that could not call could not; "": none since it was looked at */
};

/* Sends another load in the place of the one there is; false with a sentence. callers 0: only sends it away. */
bool crowd_set(struct crowd *crowd, const struct stage *stage, const struct order_load *load, char *why,
               size_t why_size);

/* Sends callers beside it: ORDER_ONE_SLOW to ORDER_HOLD; ORDER_RELEASE lets the slow ones and silent ones go. */
bool crowd_act(struct crowd *crowd, const struct stage *stage, enum order_act act, char *why, size_t why_size);

/* Takes leave of lots that have ended. Whether there were any. */
bool crowd_look(struct crowd *crowd);

/* How many lots of a task are there. */
unsigned crowd_count(const struct crowd *crowd, enum crowd_task task);

void crowd_total(const struct crowd *crowd, struct crowd_totals *ret_totals);

/* Of the load that asks `add`: answers, and the largest sum; false: it does not ask that. */
bool crowd_sum(const struct crowd *crowd, uint64_t *ret_answers, uint64_t *ret_largest);

/* Ends all of them. */
void crowd_finish(struct crowd *crowd);

#endif
