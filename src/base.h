/* BaseServer: the one accept loop, and what every class inherits in the end. Private. */
#ifndef BASE_H
#define BASE_H

#include "objects.h"

extern const struct sb_class sb_base_class;

/* BaseServer.handle_request: one request, or handle_timeout. 1, 0, or -errno. */
int sb_base_handle_request(struct sb_server *server);

/* One that has been accepted: server->connection_fd, of the listener that was added last. 0, or -errno: it is still the
 * caller's. */
int sb_base_handle_connection(struct sb_server *server);

#endif
