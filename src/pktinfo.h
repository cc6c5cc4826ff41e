/* At which of our addresses a datagram has come, and that its reply leaves from there: for sockets at a wildcard, whose
 * replies would otherwise leave from whatever address is next to the receiver (ip(7), ipv6(7), RFC 3542). Private. */
#ifndef PKTINFO_H
#define PKTINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* One of our addresses, IPv4 mapped; zeroed: not known. */
struct sb_local {
    struct in6_addr address;
    unsigned interface;         /* by which it came */
    bool known;
};

/* Room for what one datagram brings: on a socket for both IPv6 and IPv4 that may be two. */
#define SB_PKTINFO_SIZE (CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(struct in_pktinfo)))

/* Lets the socket, of AF_INET or AF_INET6, tell it. -errno. */
int sb_pktinfo_enable(int fd, int family);

/* What a received message says. */
struct sb_local sb_pktinfo_read(struct msghdr *message);

/* Writes it for the reply into control, SB_PKTINFO_SIZE bytes; returns how many are used, 0 when nothing is known. */
size_t sb_pktinfo_write(const struct sb_local *local, void *control);

#endif
