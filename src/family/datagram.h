/* A datagram as a request. Private. */
#ifndef FAMILY_DATAGRAM_H
#define FAMILY_DATAGRAM_H

#include "../objects.h"

/* A request with room for a datagram of so many bytes; NULL: out of memory. */
struct sb_request *sb_datagram_new(struct sb_listener *listener, size_t room);

/* What has come, `size` bytes of which the first `kept` are in its input, from client, whose address has address_size
 * bytes: counts and logs one that was longer than max_packet_size. */
void sb_datagram_arrived(struct sb_request *request, size_t size, size_t kept, socklen_t address_size);

/* Gives back what of its room it does not fill. */
void sb_datagram_fit(struct sb_request *request);

/* Where its reply goes, as the calls of its socket take that: on one of IPv6 an IPv4 address is mapped. */
struct sb_address sb_datagram_receiver(const struct sb_request *request);

#endif
