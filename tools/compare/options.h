/* What is said on the command line of compare. */
#ifndef COMPARE_OPTIONS_H
#define COMPARE_OPTIONS_H

#include <stdbool.h>
#include "match.h"

struct compare_arguments {
    struct match_options options;
    const char *strategies, *scenarios;
    const char *html, *json, *csv;
    char *question, *answer;        /* of the options; malloc'd */
    unsigned workers;               /* 0: each scenario's own */
    bool predict;
};

/* Returns where it makes sense, like argument_parse(). What the options name is not looked up yet. */
void compare_arguments_parse(int argc, char **argv, struct compare_arguments *ret_arguments);

#endif
