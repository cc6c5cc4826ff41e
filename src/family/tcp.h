/* What the other families, and loops that accept by other means, need of TCPServer. Private. */
#ifndef FAMILY_TCP_H
#define FAMILY_TCP_H

#include "../objects.h"

/* TCPServer.server_bind: socket, options, bind(2), getsockname(2), for each of the listener's sockets. */
int sb_tcp_bind(struct sb_listener *listener);

/* Whether a listener's address is a file whose permissions the configuration names: it is made without any. */
bool sb_tcp_admits_by_file(const struct sb_listener *listener);

/* A request for a connection that was accepted already; -ENOMEM: fd is still the caller's. client: whose it is, or
 * NULL: asks the socket. */
int sb_tcp_admit(struct sb_listener *listener, int fd, const struct sb_address *client,
                 struct sb_request **ret_request);

#endif
