/* UDPServer: a request is one datagram, the reply is another. */
#include "family.h"

#include <errno.h>
#include <stdlib.h>

#include "../worker.h"
#include "batch.h"

static int server_activate(struct sb_listener *listener)
{
    (void)listener;
    return 0;
}

void sb_udp_report_truncated(struct sb_request *request, ssize_t size)
{
    struct sb_server *server = request->server;
    if (sb_worker.slot)
        __atomic_fetch_add(&sb_worker.slot->truncated, 1, __ATOMIC_RELAXED);
    sb_server_log(server, SB_LOG_WARNING, "a datagram of %zd bytes from %s was cut off at %d (max_packet_size)", size,
                  sb_client_name(request), server->config.max_packet_size);
}

static int receive(struct sb_request *request, int fd, size_t room)
{
    socklen_t size = sizeof request->client.un;
    ssize_t n = recvfrom(fd, request->input, room, MSG_TRUNC | MSG_DONTWAIT, &request->client.sa, &size);
    if (n < 0)
        return errno == EINTR || errno == ECONNREFUSED ? -EAGAIN : -errno;
    request->client.size = size;
    request->client.socktype = SOCK_DGRAM;
    request->input_end = (size_t)n < room ? (size_t)n : room;
    if ((size_t)n > room)
        sb_udp_report_truncated(request, n);
    return 0;
}

static int get_request(struct sb_listener *listener, struct sb_request **ret_request)
{
    struct sb_server *server = listener->server;
    struct sb_batch *batch = sb_batch_find(listener);
    if (batch)
        return sb_batch_get_request(batch, ret_request);
    struct sb_request *request =
        sb_request_new(listener, sb_listener_fileno(listener), server->config.max_packet_size);
    if (!request)
        return -ENOMEM;
    int r = receive(request, request->fd, server->config.max_packet_size);
    if (r < 0) {
        sb_request_discard(request);
        return r;
    }
    char *fitted = realloc(request->input, request->input_end + 1);
    request->input = fitted ? fitted : request->input;
    if (sb_server_is_verbose(server))
        sb_request_log_received(request, request->input, request->input_end);
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
