#include "pktinfo.h"

#include <errno.h>
#include <string.h>

static int set(int fd, int level, int name)
{
    const int on = 1;
    return setsockopt(fd, level, name, &on, sizeof on) < 0 ? -errno : 0;
}

int sb_pktinfo_enable(int fd, int family)
{
    int r = set(fd, IPPROTO_IP, IP_PKTINFO);
    return family == AF_INET6 && r == 0 ? set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO) : r;
}

static struct in6_addr map(struct in_addr address)
{
    struct in6_addr mapped = { .s6_addr = { [10] = 0xff, [11] = 0xff } };
    memcpy(&mapped.s6_addr[12], &address, sizeof address);
    return mapped;
}

/* ipi_spec_dst is where a reply to a broadcast leaves from, too. */
static void read_v4(const struct cmsghdr *header, struct sb_local *local)
{
    struct in_pktinfo info;
    memcpy(&info, CMSG_DATA(header), sizeof info);
    *local = (struct sb_local){ .address = map(info.ipi_spec_dst), .interface = info.ipi_ifindex, .known = true };
}

/* A group is nobody's own address. */
static void read_v6(const struct cmsghdr *header, struct sb_local *local)
{
    struct in6_pktinfo info;
    memcpy(&info, CMSG_DATA(header), sizeof info);
    if (IN6_IS_ADDR_V4MAPPED(&info.ipi6_addr) || IN6_IS_ADDR_MULTICAST(&info.ipi6_addr))
        return;
    *local = (struct sb_local){ .address = info.ipi6_addr, .interface = info.ipi6_ifindex, .known = true };
}

struct sb_local sb_pktinfo_read(struct msghdr *message)
{
    struct sb_local local = { .known = false };
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO)
            read_v4(header, &local);
        else if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO)
            read_v6(header, &local);
    }
    return local;
}

static size_t write_header(void *control, int level, int type, const void *data, size_t size)
{
    struct cmsghdr header = { .cmsg_level = level, .cmsg_type = type, .cmsg_len = CMSG_LEN(size) };
    memset(control, 0, CMSG_SPACE(size));
    memcpy(control, &header, sizeof header);
    memcpy(CMSG_DATA((struct cmsghdr *)control), data, size);
    return CMSG_SPACE(size);
}

/* The route decides by which interface it leaves, except where an address means nothing without one. */
size_t sb_pktinfo_write(const struct sb_local *local, void *control)
{
    struct in_pktinfo v4 = { .ipi_ifindex = 0 };
    struct in6_pktinfo v6 = { .ipi6_addr = local->address };
    if (!local->known)
        return 0;
    if (IN6_IS_ADDR_V4MAPPED(&local->address)) {
        memcpy(&v4.ipi_spec_dst, &local->address.s6_addr[12], sizeof v4.ipi_spec_dst);
        return write_header(control, IPPROTO_IP, IP_PKTINFO, &v4, sizeof v4);
    }
    v6.ipi6_ifindex = IN6_IS_ADDR_LINKLOCAL(&local->address) ? local->interface : 0;
    return write_header(control, IPPROTO_IPV6, IPV6_PKTINFO, &v6, sizeof v6);
}
