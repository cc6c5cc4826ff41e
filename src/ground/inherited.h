/* Sockets that the process was started with, or has from elsewhere: "fd://N". Private. */
#ifndef GROUND_INHERITED_H
#define GROUND_INHERITED_H

#include <switchboard/address.h>

#define SB_INHERITED_PREFIX "fd://"

/* The number behind the prefix, and at which address that socket is: a stream socket that listens (socket(7),
 * SO_ACCEPTCONN), or a datagram socket that is bound. Returns the descriptor, as it was; -EBADF: it is not open,
 * -EINVAL: no number, or no such socket. ret_why receives, on failure only, a constant phrase. */
int sb_inherited_find(const char *text, struct sb_address *ret_address, const char **ret_why);

/* The same for a connection: at which of our addresses it is. 0; -EBADF, -EINVAL as above. */
int sb_inherited_find_connection(int fd, struct sb_address *ret_address, const char **ret_why);

#endif
