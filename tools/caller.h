/* The side that calls: what is said when nobody answers. */
#ifndef CALLER_H
#define CALLER_H

#include <switchboard/address.h>

#define CALLER_WHY_SIZE (256 + SB_ADDRESS_TEXT_SIZE)

/* What the errno of connect(2) means for a user, and what to do: a phrase, written to text. name: the address. */
const char *caller_explain(int error, const char *name, char text[CALLER_WHY_SIZE]);

#endif
