#include "connect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>
#include "../caller.h"
#include "../clock.h"

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

/* Of sb_address_connect(), for a talk that waits by poll(2) before it calls. */
static void let_block(int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
}

int client_connect(const struct addresses *addresses, int timeout_ms, unsigned *ret_which)
{
    uint64_t end_ns = clock_in_ms((unsigned)timeout_ms);
    int fd = sb_address_connect(addresses->list, addresses->count, timeout_ms, NULL, NULL, ret_which);

    if (fd >= 0) {
        let_block(fd);
        return fd;
    }
    if (fd == -ETIMEDOUT && clock_left_ms(end_ns) == 0)
        connect_timed_out(addresses->name, timeout_ms);
    else
        connect_failed(addresses->name, -fd);
    return -1;
}

bool client_connect_next(int fd, const struct addresses *addresses, unsigned *which)
{
    unsigned next = *which + 1, further;

    if (next == addresses->count)
        return false;
    int next_fd = sb_address_connect(addresses->list + next, addresses->count - next, 0, NULL, NULL, &further);
    if (next_fd < 0)
        return false;
    let_block(next_fd);
    bool moved = dup3(next_fd, fd, O_CLOEXEC) >= 0;
    close(next_fd);
    if (moved)
        *which = next + further;
    return moved;
}
