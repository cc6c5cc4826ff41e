/* What the families share. Private. */
#ifndef FAMILY_H
#define FAMILY_H

#include "../objects.h"

/* A socket for the listener's address, non-blocking. Returns the descriptor. */
int sb_listener_socket(const struct sb_listener *listener);

/* bind(2), then getsockname(2) into listener->address. */
int sb_listener_bind(struct sb_listener *listener, int fd);

/* TCPServer.server_bind with this listener's options on each of its sockets. */
int sb_tcp_bind(struct sb_listener *listener);

/* A Unix socket's file: removes one that nobody listens on any more. -EADDRINUSE: somebody does, -EEXIST: not a socket. */
int sb_unix_clear_path(const struct sb_address *address);
int sb_unix_bind(struct sb_listener *listener);

#endif
