/* A request's beginning and end: in the books, out of them, and closed. Private. */
#ifndef REQUEST_H
#define REQUEST_H

#include "objects.h"

/* A request in the book of the loop that runs in this thread. It takes fd over, a connection unless packet_size, the
 * room for a datagram, is not 0. NULL: out of memory, fd is still the caller's. */
struct sb_request *sb_request_new(struct sb_listener *listener, int fd, size_t packet_size);

/* Closes its connection, unless that is closed. */
void sb_request_close(struct sb_request *request);

#endif
