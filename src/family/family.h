/* What the families share. Private. */
#ifndef FAMILY_H
#define FAMILY_H

#include "../objects.h"

/* TCPServer.server_bind: socket, options, bind(2), getsockname(2), for each of the listener's sockets. */
int sb_tcp_bind(struct sb_listener *listener);

#endif
