/* What is said on the command line of lab. */
#ifndef LAB_OPTIONS_H
#define LAB_OPTIONS_H

#include <stdbool.h>
#include "orders.h"
#include "stage.h"

struct lab_options {
    const char *words[STAGE_ADDRESSES_MAX + 2];     /* the handler, and addresses */
    const char *strategy, *accept;
    const char *options[ORDER_OPTIONS_MAX + 1];
    const char *page, *room;                /* addresses; room NULL: none */
    const char *lesson, *check;             /* a lesson's name or file; a file to check. NULL: not given */
    unsigned callers;
    bool force;
};

/* Returns where it makes sense, like argument_parse(). */
void lab_options_parse(int argc, char **argv, struct lab_options *ret_options);

/* What the server is to be; words that are too long are misuse. */
void lab_options_plan(const struct lab_options *options, struct stage_plan *ret_plan);

#endif
