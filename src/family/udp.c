/* UDPServer: a request is one datagram, the reply is another. */
#include <errno.h>
#include <stdlib.h>
#include <sys/param.h>

#include "../ground/clock.h"
#include "../request.h"
#include "../verbs/wait.h"
#include "batch.h"
#include "datagram.h"

/* How long a reply is offered to a peer on this machine that does not read, and how often. */
#define FULL_PEER_MS 1000
#define FULL_PEER_RETRY_MS 10

static bool is_wildcard(const struct sb_address *address)
{
    if (address->sa.sa_family == AF_INET6)
        return IN6_IS_ADDR_UNSPECIFIED(&address->in6.sin6_addr);
    return address->sa.sa_family == AF_INET && address->in.sin_addr.s_addr == INADDR_ANY;
}

static int server_activate(struct sb_listener *listener)
{
    int r = 0;
    unsigned count = listener->fds ? listener->server->crew.loops : 1;
    listener->tells_local = is_wildcard(&listener->address);
    for (unsigned i = 0; r == 0 && listener->tells_local && i < count; i++) {
        int fd = listener->fds ? listener->fds[i] : listener->fd;
        r = fd < 0 ? 0 : sb_pktinfo_enable(fd, listener->address.sa.sa_family);
    }
    return r;
}

static ssize_t reply(struct sb_request *request, const void *data, size_t size, int64_t deadline_ns)
{
    struct sb_address receiver = sb_datagram_receiver(request);
    char control[SB_PKTINFO_SIZE];
    struct iovec bytes = { .iov_base = (void *)data, .iov_len = size };
    const struct msghdr message = { .msg_name = &receiver.sa, .msg_namelen = receiver.size, .msg_iov = &bytes,
                                    .msg_iovlen = 1, .msg_control = control,
                                    .msg_controllen = sb_pktinfo_write(&request->datagram->local, control) };
    deadline_ns = MIN(deadline_ns, sb_deadline_ns(FULL_PEER_MS));
    for (;;) {
        if (sendmsg(request->fd, &message, MSG_NOSIGNAL) >= 0)
            return size;
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
        /* It is the peer's queue that is full, and no descriptor of ours tells when it no longer is (unix(7)). */
        int r = sb_pause(request, FULL_PEER_RETRY_MS);
        if (r == 0 && sb_now_ns() >= deadline_ns)
            r = -ETIMEDOUT;
        if (r < 0)
            return r;
    }
}

static const struct sb_io udp_io = { .send = reply };

static int receive(struct sb_request *request, size_t room)
{
    char control[SB_PKTINFO_SIZE];
    struct iovec bytes = { .iov_base = request->input, .iov_len = room };
    struct msghdr message = { .msg_name = &request->client.sa, .msg_namelen = sizeof request->client.un,
                              .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control,
                              .msg_controllen = request->listener->tells_local ? sizeof control : 0 };
    ssize_t n = recvmsg(request->fd, &message, MSG_TRUNC | MSG_DONTWAIT);
    if (n < 0)
        return errno == EINTR || errno == ECONNREFUSED ? -EAGAIN : -errno;
    if (request->listener->tells_local)
        request->datagram->local = sb_pktinfo_read(&message);
    sb_datagram_arrived(request, n, (size_t)n < room ? (size_t)n : room, message.msg_namelen);
    return 0;
}

static int get_request(struct sb_listener *listener, struct sb_request **ret_request)
{
    struct sb_batch *batch = sb_batch_find(listener);
    if (batch)
        return sb_batch_get_request(batch, ret_request);
    size_t room = listener->server->config.max_packet_size;
    struct sb_request *request = sb_datagram_new(listener, room);
    if (!request)
        return -ENOMEM;
    request->io = &udp_io;
    int r = receive(request, room);
    if (r < 0) {
        sb_request_free(request);
        return r;
    }
    sb_datagram_fit(request);
    *ret_request = request;
    return 0;
}

static void shutdown_request(struct sb_request *request)
{
    methods(request->server)->close_request(request);
}

/* The socket is the server's. */
static void close_request(struct sb_request *request)
{
    (void)request;
}

const struct sb_class sb_udp_class = {
    .name = "udp",
    .traits = SB_FAMILY | SB_DATAGRAM,
    .server_activate = server_activate,
    .get_request = get_request,
    .shutdown_request = shutdown_request,
    .close_request = close_request,
};
