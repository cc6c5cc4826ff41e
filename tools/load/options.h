/* What is said on the command line of load. */
#ifndef LOAD_OPTIONS_H
#define LOAD_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

struct load_options {
    const char *address[2];             /* up to a NULL */
    char *question, *answer;            /* malloc'd; NULL: not given */
    size_t question_size, answer_size;
    double seconds, timeout, rate;      /* seconds 0: not given */
    unsigned clients, slow;
    unsigned requests;                  /* 0: not given */
    int think_ms;
    bool talk;
};

/* Returns where it makes sense, like argument_parse(). */
void load_options_parse(int argc, char **argv, struct load_options *ret_options);

#endif
