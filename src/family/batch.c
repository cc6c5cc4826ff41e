#include "batch.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "../ground/clock.h"
#include "datagram.h"

enum { BATCH = 32, FULL_MS = 1000 };

struct sb_batch {
    struct sb_listener *listener;
    int fd;
    unsigned received, next;            /* datagrams in packets, and how many of them have been taken */
    unsigned n_replies;
    size_t packet_size;
    char *packets;                      /* BATCH times packet_size; only what arrives is ever touched */
    struct mmsghdr in[BATCH], out[BATCH];
    struct iovec in_data[BATCH], out_data[BATCH];
    struct sb_address senders[BATCH], receivers[BATCH];
    struct controls {
        char in[BATCH][SB_PKTINFO_SIZE], out[BATCH][SB_PKTINFO_SIZE];
    } *controls;                        /* where the listener tells at which address they came; else NULL */
};

/* Loops that each take what they can get would leave nothing for the others, unless they never wait for a handler. */
static bool may_batch(const struct sb_server *server)
{
    return (server->traits & SB_YIELDS) || !(server->traits & (SB_DISPATCHES | SB_LOOPS));
}

static void free_batch(struct sb_batch *batch)
{
    if (!batch)
        return;
    free(batch->controls);
    free(batch->packets);
    free(batch);
}

static struct sb_batch *new_batch(struct sb_listener *listener)
{
    struct sb_batch *batch = calloc(1, sizeof *batch);
    if (!batch)
        return NULL;
    batch->listener = listener;
    batch->fd = sb_listener_fileno(listener);
    batch->packet_size = listener->server->config.max_packet_size;
    batch->packets = malloc(BATCH * batch->packet_size);
    batch->controls = listener->tells_local ? calloc(1, sizeof *batch->controls) : NULL;
    if (!batch->packets || (listener->tells_local && !batch->controls)) {
        free_batch(batch);
        return NULL;
    }
    for (int i = 0; i < BATCH; i++) {
        batch->in_data[i] = (struct iovec){ batch->packets + i * batch->packet_size, batch->packet_size };
        batch->in[i].msg_hdr = (struct msghdr){ .msg_iov = &batch->in_data[i], .msg_iovlen = 1 };
        batch->out[i].msg_hdr = (struct msghdr){ .msg_iov = &batch->out_data[i], .msg_iovlen = 1 };
    }
    return batch;
}

void sb_batches_open(struct sb_server *server)
{
    if (!may_batch(server) || !(sb_worker.batches = calloc(server->n_listeners, sizeof *sb_worker.batches)))
        return;
    for (unsigned i = 0; i < server->n_listeners; i++)
        if (server->listeners[i]->address.socktype == SOCK_DGRAM &&
            server->listeners[i]->address.sa.sa_family != AF_UNIX && sb_listener_fileno(server->listeners[i]) >= 0)
            sb_worker.batches[i] = new_batch(server->listeners[i]);
}

struct sb_batch *sb_batch_find(const struct sb_listener *listener)
{
    struct sb_batch *batch = sb_worker.batches ? sb_worker.batches[listener->index] : NULL;
    return batch && batch->listener == listener ? batch : NULL;
}

/* --- replies ------------------------------------------------------------------------------------------------------ */

static void report_lost(const struct sb_batch *batch, unsigned n, int error)
{
    char text[SB_ADDRESS_TEXT_SIZE];
    struct sb_address receiver = batch->receivers[n];
    sb_address_unmap(&receiver);
    sb_server_log(batch->listener->server, SB_LOG_WARNING, "a reply of %zu bytes to %s cannot be sent: %s",
                  batch->out_data[n].iov_len, sb_address_format_peer(&receiver, text), strerror(error));
    sb_slot_count_error(sb_slot_current());
}

/* Whether a send that failed is to be tried again: a queue that is full has a while to become less so. */
static bool tries_again(const struct sb_batch *batch, int error, int64_t *deadline_ns)
{
    struct pollfd full = { .fd = batch->fd, .events = POLLOUT };
    if (error != EINTR && error != EAGAIN)
        return false;
    if (*deadline_ns == 0)
        *deadline_ns = sb_deadline_ns(FULL_MS);
    int left_ms = sb_remaining_ms(*deadline_ns);
    if (error == EINTR || poll(&full, 1, left_ms) > 0)
        sb_nap(1);
    return left_ms > 0;
}

/* The kernel sends until one fails, and reports that when it is the first. */
static void flush(struct sb_batch *batch)
{
    int64_t deadline_ns = 0;
    unsigned sent = 0;
    while (sent < batch->n_replies) {
        int n = sendmmsg(batch->fd, batch->out + sent, batch->n_replies - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && tries_again(batch, errno, &deadline_ns))
            continue;
        if (n < 0)
            report_lost(batch, sent, errno);
        sent += n > 0 ? n : 1;
    }
    for (unsigned i = 0; i < batch->n_replies; i++)
        free(batch->out_data[i].iov_base);
    batch->n_replies = 0;
}

/* Takes the request's own buffer over. */
static ssize_t reply(struct sb_request *request, const void *data, size_t size, int64_t deadline_ns)
{
    struct sb_batch *batch = sb_batch_find(request->listener);
    unsigned n = batch->n_replies++;
    (void)deadline_ns;
    batch->receivers[n] = sb_datagram_receiver(request);
    batch->out_data[n] = (struct iovec){ (void *)data, size };
    batch->out[n].msg_hdr.msg_name = &batch->receivers[n].sa;
    batch->out[n].msg_hdr.msg_namelen = batch->receivers[n].size;
    if (batch->controls) {
        batch->out[n].msg_hdr.msg_control = batch->controls->out[n];
        batch->out[n].msg_hdr.msg_controllen = sb_pktinfo_write(&request->datagram->local, batch->controls->out[n]);
    }
    request->datagram->reply = NULL;
    if (batch->n_replies == BATCH)
        flush(batch);
    return size;
}

static const struct sb_io batch_io = { .send = reply };

/* --- requests ----------------------------------------------------------------------------------------------------- */

static int receive(struct sb_batch *batch)
{
    for (int i = 0; i < BATCH; i++) {
        batch->in[i].msg_hdr.msg_name = &batch->senders[i].sa;
        batch->in[i].msg_hdr.msg_namelen = sizeof batch->senders[i].in6;
        batch->in[i].msg_hdr.msg_control = batch->controls ? batch->controls->in[i] : NULL;
        batch->in[i].msg_hdr.msg_controllen = batch->controls ? SB_PKTINFO_SIZE : 0;
    }
    int n = recvmmsg(batch->fd, batch->in, BATCH, MSG_TRUNC | MSG_DONTWAIT, NULL);
    if (n < 0)
        return errno == EINTR || errno == ECONNREFUSED ? -EAGAIN : -errno;
    batch->received = n;
    return 0;
}

int sb_batch_get_request(struct sb_batch *batch, struct sb_request **ret_request)
{
    if (batch->next == batch->received) {
        /* Fewer came than there was room for: there are no more now, and who waits for more is told. */
        bool drained = batch->received > 0 && batch->received < BATCH;
        flush(batch);
        batch->next = batch->received = 0;
        int r = drained ? -EAGAIN : receive(batch);
        if (r < 0)
            return r;
    }
    unsigned n = batch->next;
    size_t size = batch->in[n].msg_len, kept = size < batch->packet_size ? size : batch->packet_size;
    struct sb_request *request = sb_datagram_new(batch->listener, kept + 1);
    if (!request)
        return -ENOMEM;
    batch->next++;
    request->io = &batch_io;
    request->client = batch->senders[n];
    if (batch->controls)
        request->datagram->local = sb_pktinfo_read(&batch->in[n].msg_hdr);
    memcpy(request->input, batch->in_data[n].iov_base, kept);
    sb_datagram_arrived(request, size, kept, batch->in[n].msg_hdr.msg_namelen);
    *ret_request = request;
    return 0;
}

/* --- all of a loop's ---------------------------------------------------------------------------------------------- */

int sb_batches_waiting(const struct sb_server *server)
{
    for (unsigned i = 0; sb_worker.batches && i < server->n_listeners; i++) {
        const struct sb_batch *batch = sb_worker.batches[i];
        if (batch && batch->next < batch->received)
            return i;
    }
    return -1;
}

void sb_batches_flush(struct sb_server *server)
{
    for (unsigned i = 0; sb_worker.batches && i < server->n_listeners; i++)
        if (sb_worker.batches[i])
            flush(sb_worker.batches[i]);
}

void sb_batches_close(struct sb_server *server)
{
    sb_batches_flush(server);
    for (unsigned i = 0; sb_worker.batches && i < server->n_listeners; i++)
        free_batch(sb_worker.batches[i]);
    free(sb_worker.batches);
    sb_worker.batches = NULL;
}
