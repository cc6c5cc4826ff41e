/* Addresses as text and as sockets: for programs and for clients.
 *
 * Forms: tcp://HOST:PORT  udp://HOST:PORT  unix:PATH  unixgram:PATH  HOST:PORT (TCP).
 * IPv6 hosts stand in brackets; [::] and an empty host accept IPv4 too; PATH "@name" is Linux's abstract
 * namespace (unix(7)); port 0 lets the kernel choose. */
#ifndef SWITCHBOARD_ADDRESS_H
#define SWITCHBOARD_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <netinet/in.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* Room for any text sb_address_format() writes, its NUL included. */
#define SB_ADDRESS_TEXT_SIZE 128

struct sb_address {
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    };
    socklen_t size;     /* bytes of the union in use, 0: no address (an unbound Unix peer) */
    int socktype;       /* SOCK_STREAM or SOCK_DGRAM */
};

/* Reads an address. Names are resolved (getaddrinfo(3)), so this may block.
 * scheme: what a text without one means ("tcp", "udp", "unix", "unixgram"); NULL is "tcp".
 * ret_why (may be NULL) receives, on failure only, a constant phrase that says what is wrong with the text.
 * Errors: -EINVAL malformed, -ENAMETOOLONG a Unix path over 107 bytes, -ENOENT a host that does not resolve,
 * -EAGAIN a resolver that does not answer, -ENOMEM. */
int sb_address_parse(const char *text, const char *scheme, struct sb_address *ret_address, const char **ret_why);

/* Writes "tcp://127.0.0.1:80", "unix:/path", "unixgram:@name"; text holds SB_ADDRESS_TEXT_SIZE bytes.
 * Returns text. A Unix address without a path gives "unix:". */
char *sb_address_format(const struct sb_address *address, char *text);

/* The same without the scheme: "127.0.0.1:80", "[::1]:80", "/path", "@name"; "unix peer" where there is no address. */
char *sb_address_format_peer(const struct sb_address *address, char *text);

/* "tcp", "udp", "unix" or "unixgram". The string is static. */
const char *sb_address_scheme(const struct sb_address *address);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
