/* The client's way to a server. */
#ifndef CONNECT_H
#define CONNECT_H

#include <switchboard/address.h>

/* Returns a socket connected to address, the caller's to close; or -1, when it has said why there is none.
 * timeout_ms bounds the wait for the server, milliseconds. */
int client_connect(const struct sb_address *address, int timeout_ms);

#endif
