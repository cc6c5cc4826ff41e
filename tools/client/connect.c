#include "connect.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>
#include "../caller.h"

static void connect_failed(const char *name, int error)
{
    char why[CALLER_WHY_SIZE];

    fprintf(stderr, "switchboard client: cannot connect to %s: %s\n", name, caller_explain(error, name, why));
}

static void connect_timed_out(const char *name, int timeout_ms)
{
    fprintf(stderr, "switchboard client: cannot connect to %s: no answer within %g s, it is out of reach or its queue "
            "is full; --connect-timeout=SECONDS waits longer\n", name, timeout_ms / 1000.0);
}

/* How long connect(2) may block, for a full queue of a Unix socket too, which poll(2) cannot wait for; 0: no limit. */
static int limit_connect(int fd, int timeout_ms)
{
    struct timeval timeout = { .tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000 };

    return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
}

static bool is_timeout(int error)
{
    return error == EINPROGRESS || error == EALREADY || error == EAGAIN;
}

static int connect_within(int fd, const struct sb_address *address, int timeout_ms)
{
    int r = limit_connect(fd, timeout_ms);

    if (r == 0)
        do
            r = connect(fd, &address->sa, address->size);
        while (r < 0 && errno == EINTR);
    return r == 0 ? limit_connect(fd, 0) : r;
}

/* Returns 0, or -1 after a sentence. */
static int try_to_connect(int fd, const struct sb_address *address, const char *name, int timeout_ms)
{
    if (connect_within(fd, address, timeout_ms) == 0)
        return 0;
    if (is_timeout(errno))
        connect_timed_out(name, timeout_ms);
    else
        connect_failed(name, errno);
    return -1;
}

int client_connect(const struct sb_address *address, int timeout_ms)
{
    char name[SB_ADDRESS_TEXT_SIZE];
    int fd = caller_socket(address, 0);

    sb_address_format(address, name);
    if (fd < 0) {
        fprintf(stderr, "switchboard client: cannot make a socket for %s: %s\n", name, strerror(-fd));
        return -1;
    }
    if (try_to_connect(fd, address, name, timeout_ms) == 0)
        return fd;
    close(fd);
    return -1;
}
