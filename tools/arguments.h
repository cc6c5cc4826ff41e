/* What the commands read from their command lines, each kind in one place and in the same words. What is misuse is said
 * in a sentence on stderr, and ends the program with status 2, unless a function says otherwise. */
#ifndef ARGUMENTS_H
#define ARGUMENTS_H

#include <argp.h>
#include <stdbool.h>
#include <stddef.h>
#include <switchboard/address.h>

#define ARGUMENT_DEFAULT_ADDRESS "tcp://127.0.0.1:8081"
#define ARGUMENT_SECONDS_MIN 0.001      /* of what cannot be instantly */
#define ARGUMENT_SECONDS_MAX 1000000
#define ARGUMENT_BYTES_MAX (128 * 1024)     /* no word of a command line is longer */

enum argument_kind {
    ARGUMENT_END,       /* of the table */
    ARGUMENT_FLAG,      /* a bool, which gets true: the option has no value */
    ARGUMENT_TEXT,      /* a const char *: the value itself */
    ARGUMENT_LIST,      /* const char *[max + 1], all NULL before: the values in their order */
    ARGUMENT_NUMBER,    /* an int or unsigned: a whole number */
    ARGUMENT_SECONDS,   /* a double: seconds, with fractions */
    ARGUMENT_MS,        /* an int: the same in milliseconds */
    ARGUMENT_RATE,      /* a double: how many each second */
};

/* What an option's value is, and where it goes. */
struct argument {
    int key;            /* of the option; ARGP_KEY_ARG: the ADDRESSes */
    enum argument_kind kind;
    size_t offset;      /* in what argument_parse() was given */
    double min, max;    /* of numbers, both allowed; LIST: at most max values */
};

/* Parses a command line; `input` is what argp's parser finds in its state. Returns where it makes sense. */
void argument_parse(const struct argp *argp, int argc, char **argv, void *input);

/* For argp's parser: stores the value of an option that is in the table, whose last entry has ARGUMENT_END. Returns 0,
 * or ARGP_ERR_UNKNOWN where it is not. The words are argv's. */
error_t argument_take(const struct argument *table, int key, char *text, struct argp_state *state);

/* Adds a word to a list with room for `most` and the NULL behind them. what: "--message". */
void argument_add(struct argp_state *state, const char *what, const char **words, size_t most, const char *word);

/* The bytes, 1 to `most`, of the value of --NAME, which is written with backslashes as text.h says. *ret_bytes: the
 * caller's to free; what it held before is freed, so it must be NULL or such bytes. Out of memory is status 1. */
void argument_bytes(struct argp_state *state, const char *name, const char *text, size_t most, char **ret_bytes,
                    size_t *ret_size);

/* Whether text is a whole number from min to max, and nothing else. */
bool argument_is_whole(const char *text, long long min, long long max, long long *ret_number);

/* All that an ADDRESS means, in the order in which a caller tries them (sb_address_resolve()). */
struct addresses {
    struct sb_address *list;            /* malloc'd, its owner frees it */
    unsigned count;
    char name[SB_ADDRESS_TEXT_SIZE];    /* for sentences: a single address, or the text itself, cut off if it is long */
};

/* NULL: the default. Returns 0, or, after a sentence on stderr, the exit status that a bad address deserves.
 * command: "switchboard client". */
int argument_addresses(const char *command, const char *text, struct addresses *ret_addresses);

#endif
