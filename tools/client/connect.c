#include "connect.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>
#include "../arguments.h"

/* What the errno of connect(2) means for a user. */
static const char *connect_hint(int error)
{
    switch (error) {
    case ECONNREFUSED:
        return ": no server listens there";
    case ENOENT:
        return ": there is no such socket";
    case EPROTOTYPE:
        return ": that socket is of the other kind, unix: is for streams and unixgram: for datagrams";
    default:
        return "";
    }
}

static void connect_failed(const char *name, int error)
{
    bool is_default = strcmp(name, ARGUMENT_DEFAULT_ADDRESS) == 0;
    char advice[sizeof "; start one with 'switchboard serve upper '" + SB_ADDRESS_TEXT_SIZE] = "";

    if (error == ECONNREFUSED || error == ENOENT)
        snprintf(advice, sizeof advice, "; start one with 'switchboard serve upper%s%s'", is_default ? "" : " ",
                 is_default ? "" : name);
    fprintf(stderr, "switchboard client: cannot connect to %s: %s%s%s\n", name, strerror(error), connect_hint(error),
            advice);
}

static void connect_timed_out(const char *name, int timeout_ms)
{
    fprintf(stderr, "switchboard client: cannot connect to %s: no answer within %g s, it is out of reach or its queue "
            "is full; --connect-timeout=SECONDS waits longer\n", name, timeout_ms / 1000.0);
}

/* A Unix datagram server can only answer a socket that has a name: the kernel chooses one (unix(7), autobind). */
static int autobind(int fd)
{
    struct sockaddr unnamed = { .sa_family = AF_UNIX };

    return bind(fd, &unnamed, sizeof unnamed.sa_family);
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

int client_connect(const struct sb_address *address, int timeout_ms)
{
    char name[SB_ADDRESS_TEXT_SIZE];
    bool unixgram = address->socktype == SOCK_DGRAM && address->sa.sa_family == AF_UNIX;
    int fd = socket(address->sa.sa_family, address->socktype | SOCK_CLOEXEC, 0);

    sb_address_format(address, name);
    if (fd < 0 || (unixgram && autobind(fd) < 0))
        fprintf(stderr, "switchboard client: cannot make a socket for %s: %s\n", name, strerror(errno));
    else if (connect_within(fd, address, timeout_ms) == 0)
        return fd;
    else if (is_timeout(errno))
        connect_timed_out(name, timeout_ms);
    else
        connect_failed(name, errno);
    if (fd >= 0)
        close(fd);
    return -1;
}
