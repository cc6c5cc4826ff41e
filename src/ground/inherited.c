#include "inherited.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fail(int error, const char *why, const char **ret_why)
{
    *ret_why = why;
    return error;
}

static int read_number(const char *text)
{
    char *end;
    const char *digits = text + strlen(SB_INHERITED_PREFIX);
    errno = 0;
    long number = strtol(digits, &end, 10);
    bool whole = digits[0] >= '0' && digits[0] <= '9' && *end == '\0' && errno == 0;
    return whole && number <= INT32_MAX ? (int)number : -EINVAL;
}

static int option(int fd, int level, int name)
{
    int value;
    socklen_t size = sizeof value;
    return getsockopt(fd, level, name, &value, &size) < 0 ? -errno : value;
}

static bool is_bound(const struct sb_address *address)
{
    switch (address->sa.sa_family) {
    case AF_INET:
        return address->in.sin_port != 0;
    case AF_INET6:
        return address->in6.sin6_port != 0;
    default:
        return address->size > sizeof address->un.sun_family;
    }
}

static bool is_connected(int fd)
{
    struct sockaddr_storage peer;
    socklen_t size = sizeof peer;
    return getpeername(fd, (struct sockaddr *)&peer, &size) == 0;
}

int sb_inherited_find(const char *text, struct sb_address *ret_address, const char **ret_why)
{
    struct sb_address address = { .size = 0 };
    socklen_t size = sizeof address.un;
    int fd = read_number(text);
    if (fd < 0)
        return fail(-EINVAL, "behind fd:// stands the number of a descriptor", ret_why);
    int type = option(fd, SOL_SOCKET, SO_TYPE), family = option(fd, SOL_SOCKET, SO_DOMAIN);
    if (type == -EBADF)
        return fail(-EBADF, "it is not open; whoever starts the server has to leave it open (without FD_CLOEXEC)",
                    ret_why);
    if (type < 0)
        return fail(-EINVAL, "it is no socket", ret_why);
    if ((family != AF_INET && family != AF_INET6 && family != AF_UNIX) || (type != SOCK_STREAM && type != SOCK_DGRAM))
        return fail(-EINVAL, "it is a socket of another kind than tcp, udp, unix and unixgram", ret_why);
    if (getsockname(fd, &address.sa, &size) < 0)
        return fail(-errno, "its address cannot be read", ret_why);
    address.size = size;
    address.socktype = type;
    if (type == SOCK_STREAM && option(fd, SOL_SOCKET, SO_ACCEPTCONN) != 1)
        return fail(-EINVAL, "it does not listen (listen(2)); a connection is none to serve at", ret_why);
    if (type == SOCK_DGRAM && (!is_bound(&address) || is_connected(fd)))
        return fail(-EINVAL, "it has to be bound, and not connected to one peer", ret_why);
    if (family == AF_INET6)
        address.any.v6only = option(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 1;
    *ret_address = address;
    return fd;
}

int sb_inherited_find_connection(int fd, struct sb_address *ret_address, const char **ret_why)
{
    struct sb_address address = { .size = 0 };
    socklen_t size = sizeof address.un;
    int type = option(fd, SOL_SOCKET, SO_TYPE);
    if (type == -EBADF)
        return fail(-EBADF, "it is not open", ret_why);
    if (type != SOCK_STREAM || !is_connected(fd))
        return fail(-EINVAL, "it is no connection; whoever starts the server has to accept it (inetd, systemd's "
                    "Accept=yes)", ret_why);
    if (getsockname(fd, &address.sa, &size) < 0)
        return fail(-errno, "its address cannot be read", ret_why);
    address.size = size;
    address.socktype = type;
    if (address.sa.sa_family != AF_INET && address.sa.sa_family != AF_INET6 && address.sa.sa_family != AF_UNIX)
        return fail(-EINVAL, "it is a connection of another kind than tcp and unix", ret_why);
    *ret_address = address;
    return 0;
}
