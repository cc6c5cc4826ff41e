#include "peer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "../objects.h"

void sb_make_harmless(char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = text[i], next = i + 1 < size ? text[i + 1] : 0;
        if (byte < ' ' || byte == 127)
            text[i] = '.';
        if (byte == 0xc2 && next >= 0x80 && next < 0xa0)
            text[i] = text[i + 1] = '.';
    }
}

/* The port is that of the socket: it lies at the same place for IPv4 and IPv6. */
static void put_local(const struct sb_local *local, struct sb_address *address)
{
    bool is_local = IN6_IS_ADDR_LINKLOCAL(&local->address);
    address->in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = address->in6.sin6_port,
                                          .sin6_addr = local->address,
                                          .sin6_scope_id = is_local ? local->interface : 0 };
    address->size = sizeof address->in6;
}

int sb_local_address(const struct sb_request *request, struct sb_address *ret_address)
{
    struct sb_address address = { .socktype = request->datagram ? SOCK_DGRAM : SOCK_STREAM };
    socklen_t size = sizeof address.un;
    if (getsockname(request->fd, &address.sa, &size) < 0)
        return -errno;
    address.size = size;
    if (request->datagram && request->datagram->local.known)
        put_local(&request->datagram->local, &address);
    sb_address_unmap(&address);
    *ret_address = address;
    return 0;
}

/* A Unix socket's name is whatever its owner chose: it must not look like other lines of a log. */
static char *format_client(const struct sb_request *request)
{
    char text[SB_ADDRESS_TEXT_SIZE];
    sb_address_format_peer(&request->client, text);
    sb_make_harmless(text, strlen(text));
    return strdup(text);
}

const char *sb_client_name(struct sb_request *request)
{
    if (!request->client_name)
        request->client_name = format_client(request);
    return request->client_name ? request->client_name : "?";
}

int sb_peer_credentials(const struct sb_request *request, struct sb_credentials *ret_credentials)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (request->datagram || request->listener->address.sa.sa_family != AF_UNIX)
        return -EOPNOTSUPP;
    if (getsockopt(request->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return -errno;
    *ret_credentials = (struct sb_credentials){ .pid = peer.pid, .uid = peer.uid, .gid = peer.gid };
    return 0;
}

void sb_log(struct sb_request *request, const char *format, ...)
{
    if (!sb_log_is_verbose(&request->server->log))
        return;
    char *text;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    sb_server_log(request->server, SB_LOG_DEBUG, "%s: %s", sb_client_name(request), text);
    free(text);
}

int sb_fail(struct sb_request *request, int error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    free(request->why);
    request->why_error = error;
    if (vasprintf(&request->why, format, arguments) < 0)
        request->why = NULL;
    va_end(arguments);
    return error;
}
