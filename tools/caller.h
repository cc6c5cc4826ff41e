/* The side that calls: its socket, and what is said when nobody answers. */
#ifndef CALLER_H
#define CALLER_H

#include <switchboard/address.h>

#define CALLER_WHY_SIZE (256 + SB_ADDRESS_TEXT_SIZE)

/* A socket to call that kind of address with, the caller's to close, or -errno; flags: SOCK_NONBLOCK or 0. A Unix
 * datagram server can only answer a socket that has a name, so there the kernel chooses one (unix(7), autobind). */
int caller_socket(const struct sb_address *address, int flags);

/* What the errno of connect(2) means for a user, and what to do: a phrase, written to text. name: the address. */
const char *caller_explain(int error, const char *name, char text[CALLER_WHY_SIZE]);

#endif
