/* What several commands read from their command lines in the same words. */
#ifndef ARGUMENTS_H
#define ARGUMENTS_H

#include <argp.h>
#include <switchboard/address.h>

/* The value of --NAME, a whole number from min to max; anything else is misuse, and ends the program. */
long argument_number(struct argp_state *state, const char *name, const char *text, long min, long max);

/* 0, or, after a sentence on stderr, the exit status that a bad address deserves. command: "switchboard client". */
int argument_address(const char *command, const char *text, struct sb_address *ret_address);

#endif
