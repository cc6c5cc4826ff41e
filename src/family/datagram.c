#include "datagram.h"

#include <stdlib.h>

#include "../request.h"
#include "../verbs/receive.h"

struct sb_request *sb_datagram_new(struct sb_listener *listener, size_t room)
{
    return sb_request_new(listener, sb_listener_fileno(listener), room);
}

void sb_datagram_fit(struct sb_request *request)
{
    struct sb_datagram *fitted = realloc(request->datagram, sizeof *fitted + request->input_end + 1);
    if (fitted) {
        request->datagram = fitted;
        request->input = fitted->packet;
    }
}

struct sb_address sb_datagram_receiver(const struct sb_request *request)
{
    struct sb_address receiver = request->client;
    if (request->listener->address.sa.sa_family == AF_INET6)
        sb_address_map(&receiver);
    return receiver;
}

static void report_truncated(struct sb_request *request, size_t size)
{
    struct sb_server *server = request->server;
    if (sb_worker.slot)
        __atomic_fetch_add(&sb_worker.slot->truncated, 1, __ATOMIC_RELAXED);
    sb_server_log(server, SB_LOG_WARNING, "a datagram of %zu bytes from %s was cut off at %d (max_packet_size)", size,
                  sb_client_name(request), server->config.max_packet_size);
}

void sb_datagram_arrived(struct sb_request *request, size_t size, size_t kept, socklen_t address_size)
{
    request->client.size = address_size > offsetof(struct sockaddr_un, sun_path) ? address_size : 0;
    request->client.socktype = SOCK_DGRAM;
    if (address_size <= offsetof(struct sockaddr_un, sun_path))
        request->client.owner = (struct sb_address_owner){ .family = AF_UNIX };
    sb_address_unmap(&request->client);
    request->input_end = kept;
    if (size > kept)
        report_truncated(request, size);
    if (sb_log_is_verbose(&request->server->log))
        sb_log_received(request, request->input, kept);
}
