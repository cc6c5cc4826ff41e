#include <switchboard/address.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST_SIZE 256

static const struct scheme {
    const char *name, *prefix;
    int socktype;
    bool is_unix;
} schemes[] = {
    { "tcp", "tcp://", SOCK_STREAM, false },
    { "udp", "udp://", SOCK_DGRAM, false },
    { "unixgram", "unixgram:", SOCK_DGRAM, true },
    { "unix", "unix:", SOCK_STREAM, true },
};

static const struct scheme *find_scheme(const char *name)
{
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (strcmp(schemes[i].name, name) == 0)
            return &schemes[i];
    return NULL;
}

/* The scheme a text begins with; *rest is moved behind it. */
static const struct scheme *take_scheme(const char **rest)
{
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t length = strlen(schemes[i].prefix);
        if (strncmp(*rest, schemes[i].prefix, length) == 0) {
            *rest += length;
            return &schemes[i];
        }
    }
    return NULL;
}

static int fail(const char **ret_why, const char *why, int error)
{
    if (ret_why)
        *ret_why = why;
    return error;
}

static int parse_unix(const char *path, struct sb_address *address, const char **ret_why)
{
    size_t length = strlen(path);
    if (length == 0)
        return fail(ret_why, "the path is missing", -EINVAL);
    if (length >= sizeof address->un.sun_path)
        return fail(ret_why, "a Unix socket's path holds at most 107 bytes", -ENAMETOOLONG);
    address->un.sun_family = AF_UNIX;
    memcpy(address->un.sun_path, path, length + 1);
    address->size = offsetof(struct sockaddr_un, sun_path) + length + 1;
    if (path[0] == '@') {
        address->un.sun_path[0] = '\0';
        address->size--;
    }
    return 0;
}

static int parse_port(const char *text, const char **ret_why)
{
    char *end;
    long port = strtol(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0')
        return fail(ret_why, "the port must be a number from 0 to 65535", -EINVAL);
    if (port > 65535)
        return fail(ret_why, "a port is at most 65535", -EINVAL);
    return (int)port;
}

/* Splits HOST:PORT or [HOST]:PORT; returns the port. */
static int split_host(const char *text, char host[HOST_SIZE], const char **ret_why)
{
    const char *begin = text, *end, *colon;
    if (text[0] == '[') {
        begin = text + 1;
        end = strchr(begin, ']');
        if (!end)
            return fail(ret_why, "the bracket is not closed", -EINVAL);
        colon = end + 1;
    } else {
        end = colon = strrchr(text, ':');
        if (colon && memchr(text, ':', colon - text))
            return fail(ret_why, "an IPv6 address stands in brackets, [::1]:PORT", -EINVAL);
    }
    if (!colon || *colon != ':')
        return fail(ret_why, "it must be HOST:PORT, such as 127.0.0.1:8081", -EINVAL);
    if (end - begin >= HOST_SIZE)
        return fail(ret_why, "the host name is too long", -EINVAL);
    memcpy(host, begin, end - begin);
    host[end - begin] = '\0';
    return parse_port(colon + 1, ret_why);
}

static int resolver_error(int code, const char **ret_why)
{
    switch (code) {
    case EAI_AGAIN:
        return fail(ret_why, "the name server does not answer", -EAGAIN);
    case EAI_MEMORY:
        return fail(ret_why, "out of memory", -ENOMEM);
    default:
        return fail(ret_why, "the host name does not resolve", -ENOENT);
    }
}

static int resolve(const char *host, int port, struct sb_address *address, const char **ret_why)
{
    struct addrinfo hints = { .ai_socktype = address->socktype }, *found;
    int code = getaddrinfo(host, NULL, &hints, &found);
    if (code != 0)
        return resolver_error(code, ret_why);
    memcpy(&address->in6, found->ai_addr, found->ai_addrlen);
    address->size = found->ai_addrlen;
    freeaddrinfo(found);
    if (address->sa.sa_family == AF_INET6)
        address->in6.sin6_port = htons(port);
    else
        address->in.sin_port = htons(port);
    return 0;
}

static int parse_inet(const char *text, struct sb_address *address, const char **ret_why)
{
    char host[HOST_SIZE];
    int port = split_host(text, host, ret_why);
    if (port < 0)
        return port;
    return resolve(host[0] ? host : "::", port, address, ret_why);
}

int sb_address_parse(const char *text, const char *scheme_name, struct sb_address *ret_address, const char **ret_why)
{
    const struct scheme *scheme = take_scheme(&text);
    if (!scheme && strstr(text, "://"))
        return fail(ret_why, "the scheme must be tcp, udp, unix or unixgram", -EINVAL);
    if (!scheme)
        scheme = find_scheme(scheme_name ? scheme_name : "tcp");
    if (!scheme)
        return fail(ret_why, "the scheme must be tcp, udp, unix or unixgram", -EINVAL);

    struct sb_address address;
    memset(&address, 0, sizeof address);
    address.socktype = scheme->socktype;
    int r = scheme->is_unix ? parse_unix(text, &address, ret_why) : parse_inet(text, &address, ret_why);
    if (r == 0)
        *ret_address = address;
    return r;
}

const char *sb_address_scheme(const struct sb_address *address)
{
    bool is_unix = address->sa.sa_family == AF_UNIX;
    if (address->socktype == SOCK_DGRAM)
        return is_unix ? "unixgram" : "udp";
    return is_unix ? "unix" : "tcp";
}

static void format_unix(const struct sb_address *address, char *text)
{
    size_t length = address->size - offsetof(struct sockaddr_un, sun_path);
    const char *path = address->un.sun_path;
    if (path[0] != '\0')
        length = strnlen(path, length);
    snprintf(text, SB_ADDRESS_TEXT_SIZE, "%s%.*s", path[0] ? "" : "@", path[0] ? (int)length : (int)length - 1,
             path[0] ? path : path + 1);
}

static bool has_path(const struct sb_address *address)
{
    return address->size > offsetof(struct sockaddr_un, sun_path);
}

char *sb_address_format_peer(const struct sb_address *address, char *text)
{
    char host[INET6_ADDRSTRLEN];
    if (address->size != 0 && address->sa.sa_family == AF_INET) {
        inet_ntop(AF_INET, &address->in.sin_addr, host, sizeof host);
        snprintf(text, SB_ADDRESS_TEXT_SIZE, "%s:%u", host, ntohs(address->in.sin_port));
    } else if (address->size != 0 && address->sa.sa_family == AF_INET6) {
        char scope[sizeof "%4294967295"] = "";
        inet_ntop(AF_INET6, &address->in6.sin6_addr, host, sizeof host);
        if (address->in6.sin6_scope_id != 0)
            snprintf(scope, sizeof scope, "%%%u", address->in6.sin6_scope_id);
        snprintf(text, SB_ADDRESS_TEXT_SIZE, "[%s%s]:%u", host, scope, ntohs(address->in6.sin6_port));
    } else if (has_path(address)) {
        format_unix(address, text);
    } else {
        snprintf(text, SB_ADDRESS_TEXT_SIZE, "unix peer");
    }
    return text;
}

char *sb_address_format(const struct sb_address *address, char *text)
{
    const char *prefix = find_scheme(sb_address_scheme(address))->prefix;
    char peer[SB_ADDRESS_TEXT_SIZE] = "";
    if (address->sa.sa_family != AF_UNIX || has_path(address))
        sb_address_format_peer(address, peer);
    snprintf(text, SB_ADDRESS_TEXT_SIZE, "%s%.115s", prefix, peer);
    return text;
}
