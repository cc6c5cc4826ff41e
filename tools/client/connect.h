/* The client's way to a server. */
#ifndef CONNECT_H
#define CONNECT_H

#include <stdbool.h>
#include "../arguments.h"

/* Returns a socket connected to one of the addresses, as sb_address_connect() tries them, and to which; it is the
 * caller's to close. Or -1, when it has said why there is none. timeout_ms bounds the wait for the server,
 * milliseconds. */
int client_connect(const struct addresses *addresses, int timeout_ms, unsigned *ret_which);

/* Datagrams are refused by *which: makes fd a socket for the next address to which there is a way, and moves *which
 * there. False: there is none, and nothing has changed. */
bool client_connect_next(int fd, const struct addresses *addresses, unsigned *which);

#endif
