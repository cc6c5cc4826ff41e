/* What is done to any descriptor. Private. */
#ifndef GROUND_DESCRIPTOR_H
#define GROUND_DESCRIPTOR_H

#include <unistd.h>

/* Closes what is open, and forgets it. */
static inline void sb_fd_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* The kernel's limit for each receive and send; -1: none, 0, which is "none" to the kernel: the shortest. Does nothing
 * but setsockopt(2), so it is async-signal-safe (signal-safety(7)). */
int sb_fd_settimeout(int fd, int timeout_ms);

#endif
