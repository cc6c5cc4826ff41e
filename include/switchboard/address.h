/* Addresses as text and as sockets: for programs and for clients.
 *
 * Forms: tcp://HOST:PORT  udp://HOST:PORT  unix:PATH  unixgram:PATH  HOST:PORT (TCP).
 * IPv6 hosts stand in brackets; [::] and an empty host accept IPv4 too; PATH "@name" is Linux's abstract
 * namespace (unix(7)); port 0 lets the kernel choose.
 * tcp4, udp4, tcp6 and udp6 are tcp and udp over that version of IP only: of a name its addresses of that version,
 * [::] without IPv4 (ipv6(7), IPV6_V6ONLY), an empty host 0.0.0.0 or [::].
 *
 * An IPv4 address is one everywhere: what a socket of IPv6 calls ::ffff:127.0.0.1 is 127.0.0.1 here. */
#ifndef SWITCHBOARD_ADDRESS_H
#define SWITCHBOARD_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>
#include <netinet/in.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* Room for any text sb_address_format() writes, its NUL included. */
#define SB_ADDRESS_TEXT_SIZE 128

/* A name has no more addresses than this; others are passed over. */
#define SB_ADDRESS_COUNT_MAX 64

/* [::], and whether it is without IPv4. */
struct sb_address_any {
    struct sockaddr_in6 in6;
    bool v6only;
};

/* Whose a Unix socket without an address is, as far as is known (unix(7), SO_PEERCRED): of a caller that has
 * connected, not of one that sends datagrams. */
struct sb_address_owner {
    sa_family_t family;         /* AF_UNIX */
    bool known;
    pid_t pid;                  /* 0: a process that cannot be seen from here (pid_namespaces(7)) */
    uid_t uid;
};

struct sb_address {
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
        struct sb_address_any any;
        struct sb_address_owner owner;      /* where size is 0 */
    };
    socklen_t size;     /* bytes of the union in use, 0: no address (an unbound Unix peer) */
    int socktype;       /* SOCK_STREAM or SOCK_DGRAM */
};

/* Reads an address; of a name with several the first, as sb_address_resolve() orders them. Names are resolved
 * (getaddrinfo(3)), so this may block.
 * scheme: what a text without one means ("tcp", "udp", "unix", "unixgram"); NULL is "tcp".
 * ret_why (may be NULL) receives, on failure only, a constant phrase that says what is wrong with the text.
 * Errors: -EINVAL malformed, -ENAMETOOLONG a Unix path over 107 bytes, -ENOENT a host that does not resolve, or has no
 * address of the version of IP that was asked for, -EAGAIN a resolver that does not answer, -ENOMEM. */
int sb_address_parse(const char *text, const char *scheme, struct sb_address *ret_address, const char **ret_why);

/* The same, with all addresses of a name, at least one and each once: those of IPv6 and of IPv4 take turns, beginning
 * with the first and otherwise in the order of getaddrinfo(3), so that a caller comes soon to one that works (RFC 8305,
 * section 4). [::] beside IPv4 addresses is without IPv4. *ret_list: malloc'd, the caller's. */
int sb_address_resolve(const char *text, const char *scheme, struct sb_address **ret_list, unsigned *ret_count,
                       const char **ret_why);

/* A socket to call that address from, non-blocking, the caller's to close; or -errno. A Unix datagram server can only
 * answer a socket that has a name, so there the kernel chooses one (unix(7), autobind). */
int sb_address_socket(const struct sb_address *address);

/* Calls one address after the other until one answers (RFC 8305, "Happy Eyeballs", section 5): the next attempt begins
 * when one has failed, and otherwise 250 ms after the one before, which goes on; who is connected first wins, and the
 * others are closed. Of datagrams nobody answers: the first address to which there is a way. The full queue of a Unix
 * socket is waited for.
 * wait: waits until fd is ready for events (poll(2)), -1: for the time only; returns 0 or more, or -ETIMEDOUT after
 * timeout_ms (-1: no limit), -EINTR, or another -errno, which ends all. NULL: poll(2).
 * Returns a connected socket, non-blocking, the caller's to close, and which address it is (ret_which may be NULL); or
 * -ETIMEDOUT after timeout_ms milliseconds (-1: no limit); or why the last attempt failed, and rather one that was
 * answered than one to which there is no way. -EINVAL: no address, or more than SB_ADDRESS_COUNT_MAX. */
int sb_address_connect(const struct sb_address *list, unsigned count, int timeout_ms,
                       int (*wait)(void *data, int fd, short events, int timeout_ms), void *data, unsigned *ret_which);

/* From the form that an IPv4 address has on an IPv6 socket (::ffff:127.0.0.1, ipv6(7)) to 127.0.0.1, and from 127.0.0.1
 * to that form. Any other address stays as it is. Addresses that the library hands out have been unmapped. */
void sb_address_unmap(struct sb_address *address);
void sb_address_map(struct sb_address *address);

/* Writes "tcp://127.0.0.1:80", "tcp6://[::]:80" (one without IPv4), "unix:/path", "unixgram:@name"; text holds
 * SB_ADDRESS_TEXT_SIZE bytes. Returns text. A Unix address without a path gives "unix:". */
char *sb_address_format(const struct sb_address *address, char *text);

/* The same without the scheme: "127.0.0.1:80", "[::1]:80", "/path", "@name"; where there is no address
 * "pid 4711 uid 1000", or "unix peer" when that is not known. */
char *sb_address_format_peer(const struct sb_address *address, char *text);

/* "tcp", "udp", "unix" or "unixgram". The string is static. */
const char *sb_address_scheme(const struct sb_address *address);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
