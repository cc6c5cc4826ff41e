#include "descriptor.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/time.h>

int sb_fd_settimeout(int fd, int timeout_ms)
{
    struct timeval limit = { 0 };
    if (timeout_ms >= 0)
        limit = (struct timeval){ .tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms ? timeout_ms % 1000 * 1000 : 1 };
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) < 0)
        return -errno;
    return 0;
}
