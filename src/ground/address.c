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
    int socktype, family;       /* AF_UNSPEC: of either version of IP */
} schemes[] = {
    { "tcp", "tcp://", SOCK_STREAM, AF_UNSPEC },
    { "tcp4", "tcp4://", SOCK_STREAM, AF_INET },
    { "tcp6", "tcp6://", SOCK_STREAM, AF_INET6 },
    { "udp", "udp://", SOCK_DGRAM, AF_UNSPEC },
    { "udp4", "udp4://", SOCK_DGRAM, AF_INET },
    { "udp6", "udp6://", SOCK_DGRAM, AF_INET6 },
    { "unixgram", "unixgram:", SOCK_DGRAM, AF_UNIX },
    { "unix", "unix:", SOCK_STREAM, AF_UNIX },
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

/* --- names -------------------------------------------------------------------------------------------------------- */

static int resolver_error(int code, const char **ret_why)
{
    switch (code) {
    case EAI_AGAIN:
        return fail(ret_why, "the name server does not answer", -EAGAIN);
    case EAI_MEMORY:
        return fail(ret_why, "out of memory", -ENOMEM);
    case EAI_ADDRFAMILY:
        return fail(ret_why, "the host has no address of that version of IP", -ENOENT);
    default:
        return fail(ret_why, "the host name does not resolve", -ENOENT);
    }
}

static struct sb_address found_address(const struct addrinfo *found, int socktype, int port)
{
    struct sb_address address;
    memset(&address, 0, sizeof address);
    memcpy(&address.in6, found->ai_addr, found->ai_addrlen);
    address.size = found->ai_addrlen;
    address.socktype = socktype;
    sb_address_unmap(&address);
    if (address.sa.sa_family == AF_INET6)
        address.in6.sin6_port = htons(port);
    else
        address.in.sin_port = htons(port);
    return address;
}

static bool is_listed(const struct sb_address *list, unsigned count, const struct sb_address *address)
{
    for (unsigned i = 0; i < count; i++)
        if (memcmp(&list[i], address, sizeof *address) == 0)
            return true;
    return false;
}

static unsigned list_found(const struct addrinfo *found, const struct scheme *scheme, int port, struct sb_address *list)
{
    unsigned count = 0;
    for (; found && count < SB_ADDRESS_COUNT_MAX; found = found->ai_next) {
        if (found->ai_family != AF_INET && found->ai_family != AF_INET6)
            continue;
        list[count] = found_address(found, scheme->socktype, port);
        bool wanted = scheme->family == AF_UNSPEC || scheme->family == list[count].sa.sa_family;
        count += wanted && !is_listed(list, count, &list[count]);
    }
    return count;
}

/* RFC 8305, section 4: where the next one is of the same family as the last, the first of the other stands in. */
static void interleave(struct sb_address *list, unsigned count)
{
    for (unsigned i = 1; i < count; i++) {
        unsigned other = i;
        while (other < count && list[other].sa.sa_family == list[i - 1].sa.sa_family)
            other++;
        if (other == count)
            return;
        struct sb_address address = list[other];
        memmove(&list[i + 1], &list[i], (other - i) * sizeof *list);
        list[i] = address;
    }
}

static void restrict_wildcards(struct sb_address *list, unsigned count, const struct scheme *scheme)
{
    bool v6only = scheme->family == AF_INET6;
    for (unsigned i = 0; i < count; i++)
        v6only |= list[i].sa.sa_family == AF_INET;
    for (unsigned i = 0; i < count; i++)
        if (list[i].sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&list[i].in6.sin6_addr))
            list[i].any.v6only = v6only;
}

static int resolve(const char *host, int port, const struct scheme *scheme, struct sb_address *list,
                   const char **ret_why)
{
    struct addrinfo hints = { .ai_socktype = scheme->socktype, .ai_family = scheme->family }, *found;
    int code = getaddrinfo(host, NULL, &hints, &found);
    if (code != 0)
        return resolver_error(code, ret_why);
    unsigned count = list_found(found, scheme, port, list);
    freeaddrinfo(found);
    if (count == 0)
        return resolver_error(EAI_ADDRFAMILY, ret_why);
    interleave(list, count);
    restrict_wildcards(list, count, scheme);
    return count;
}

static int parse_inet(const char *text, const struct scheme *scheme, struct sb_address *list, const char **ret_why)
{
    char host[HOST_SIZE];
    int port = split_host(text, host, ret_why);
    if (port < 0)
        return port;
    const char *any = scheme->family == AF_INET ? "0.0.0.0" : "::";
    return resolve(host[0] ? host : any, port, scheme, list, ret_why);
}

/* --- texts -------------------------------------------------------------------------------------------------------- */

/* Returns how many there are. */
static int parse(const char *text, const char *scheme_name, struct sb_address list[SB_ADDRESS_COUNT_MAX],
                 const char **ret_why)
{
    static const char wrong_scheme[] = "the scheme must be tcp, udp, unix or unixgram";
    const struct scheme *scheme = take_scheme(&text);
    if (!scheme && strstr(text, "://"))
        return fail(ret_why, wrong_scheme, -EINVAL);
    if (!scheme)
        scheme = find_scheme(scheme_name ? scheme_name : "tcp");
    if (!scheme)
        return fail(ret_why, wrong_scheme, -EINVAL);
    if (scheme->family != AF_UNIX)
        return parse_inet(text, scheme, list, ret_why);
    memset(list, 0, sizeof *list);
    list->socktype = scheme->socktype;
    int r = parse_unix(text, list, ret_why);
    return r < 0 ? r : 1;
}

int sb_address_resolve(const char *text, const char *scheme, struct sb_address **ret_list, unsigned *ret_count,
                       const char **ret_why)
{
    struct sb_address *list = malloc(SB_ADDRESS_COUNT_MAX * sizeof *list);
    if (!list)
        return fail(ret_why, "out of memory", -ENOMEM);
    int r = parse(text, scheme, list, ret_why);
    if (r < 0) {
        free(list);
        return r;
    }
    struct sb_address *fitted = realloc(list, (size_t)r * sizeof *list);
    *ret_list = fitted ? fitted : list;
    *ret_count = r;
    return 0;
}

int sb_address_parse(const char *text, const char *scheme, struct sb_address *ret_address, const char **ret_why)
{
    struct sb_address *list;
    unsigned count;
    int r = sb_address_resolve(text, scheme, &list, &count, ret_why);
    if (r < 0)
        return r;
    *ret_address = list[0];
    free(list);
    return 0;
}

void sb_address_unmap(struct sb_address *address)
{
    if (address->size == 0 || address->sa.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&address->in6.sin6_addr))
        return;
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = address->in6.sin6_port };
    memcpy(&in.sin_addr, &address->in6.sin6_addr.s6_addr[12], sizeof in.sin_addr);
    memset(&address->in6, 0, sizeof address->in6);
    address->in = in;
    address->size = sizeof in;
}

void sb_address_map(struct sb_address *address)
{
    if (address->size == 0 || address->sa.sa_family != AF_INET)
        return;
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = address->in.sin_port };
    in6.sin6_addr.s6_addr[10] = in6.sin6_addr.s6_addr[11] = 0xff;
    memcpy(&in6.sin6_addr.s6_addr[12], &address->in.sin_addr, sizeof address->in.sin_addr);
    address->in6 = in6;
    address->size = sizeof in6;
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

static void format_owner(const struct sb_address *address, char *text)
{
    const struct sb_address_owner *owner = &address->owner;
    if (address->size != 0 || owner->family != AF_UNIX || !owner->known)
        snprintf(text, SB_ADDRESS_TEXT_SIZE, "unix peer");
    else if (owner->pid == 0)
        snprintf(text, SB_ADDRESS_TEXT_SIZE, "uid %u", owner->uid);
    else
        snprintf(text, SB_ADDRESS_TEXT_SIZE, "pid %d uid %u", owner->pid, owner->uid);
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
        format_owner(address, text);
    }
    return text;
}

static bool is_v6only(const struct sb_address *address)
{
    return address->size != 0 && address->sa.sa_family == AF_INET6 &&
           IN6_IS_ADDR_UNSPECIFIED(&address->in6.sin6_addr) && address->any.v6only;
}

char *sb_address_format(const struct sb_address *address, char *text)
{
    const char *scheme = sb_address_scheme(address);
    if (is_v6only(address))
        scheme = address->socktype == SOCK_DGRAM ? "udp6" : "tcp6";
    char peer[SB_ADDRESS_TEXT_SIZE] = "";
    if (address->sa.sa_family != AF_UNIX || has_path(address))
        sb_address_format_peer(address, peer);
    snprintf(text, SB_ADDRESS_TEXT_SIZE, "%s%.115s", find_scheme(scheme)->prefix, peer);
    return text;
}
