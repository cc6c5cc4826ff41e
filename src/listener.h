/* The addresses of a server: resolving their family, binding, closing. Private. */
#ifndef LISTENER_H
#define LISTENER_H

#include "objects.h"

/* One more address, and of a name all that it has: each its family resolved, checked, bound and activated. Of several
 * those that this machine does not have (EADDRNOTAVAIL, EAFNOSUPPORT) are passed over as long as one is bound, which is
 * logged; any other failure undoes all. With port 0 they have the port of the first, where it is free. Logs the
 * reason. */
int sb_listener_add(struct sb_server *server, const char *address);

/* A listener without a socket, for a connection that was accepted elsewhere, and stays the caller's. */
int sb_listener_add_connection(struct sb_server *server, int fd);

/* How many callers wait to be taken at the socket of the loop that runs here; -1: only a look can tell. */
int sb_listener_count_waiting(const struct sb_listener *listener);

/* Closes the descriptors; and removes the file of a Unix socket, in the process that made it. */
void sb_listener_close(struct sb_listener *listener);
void sb_listener_unlink(struct sb_listener *listener);

/* Both, and the memory. */
void sb_listener_free(struct sb_listener *listener);

#endif
