/* Packets over a Unix socket, with descriptors (SCM_RIGHTS, unix(7)). Private. */
#ifndef GROUND_PASSING_H
#define GROUND_PASSING_H

#include <stddef.h>
#include <sys/types.h>

/* Descriptors of one packet; the kernel's limit (SCM_MAX_FD) is above it. */
#define SB_PASSED_MAX 200

/* Sends a packet. The descriptors stay the caller's. 0 or -errno. */
int sb_pass(int socket, const void *data, size_t size, const int *fds, unsigned count);

/* Receives one, with the flags of recvmsg(2): its size, 0 at the end, or -errno. fds has room for SB_PASSED_MAX; what
 * comes is the caller's, close-on-exec. *ret_count: how many came; 0 also where this process has no room for all that it
 * brought. */
ssize_t sb_take_passed(int socket, int flags, void *data, size_t room, int *fds, unsigned *ret_count);

#endif
