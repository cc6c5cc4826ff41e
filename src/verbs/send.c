#include "send.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "peer.h"
#include "wait.h"

#define REPLY_SIZE_MAX 65535

/* Gathers a datagram's reply. */
static int gather(struct sb_request *request, const void *buffer, size_t size)
{
    struct sb_datagram *datagram = request->datagram;
    request->replied = true;
    if (size == 0)
        return 0;
    if (size > REPLY_SIZE_MAX - datagram->reply_size)
        return -EMSGSIZE;
    char *reply = realloc(datagram->reply, datagram->reply_size + size);
    if (!reply)
        return -ENOMEM;
    memcpy(reply + datagram->reply_size, buffer, size);
    datagram->reply = reply;
    datagram->reply_size += size;
    return 0;
}

/* How long it is offered is its family's business. */
int sb_send_reply(struct sb_request *request)
{
    if (!request->replied)
        return 0;
    sb_slot_enter(request->slot, SB_WRITING);
    if (request->client.size == 0)
        return -EDESTADDRREQ;
    ssize_t n = request->io->send(request, request->datagram->reply, request->datagram->reply_size, NEVER);
    return n < 0 ? n : 0;
}

/* Whether a send itself may take long. One that does not block is writing only while it waits, which spares it two
 * changes of state in most cases. */
static bool may_block(const struct sb_request *request)
{
    return request->io || !sb_yields(request);
}

static ssize_t send_some(struct sb_request *request, const void *buffer, size_t size, int64_t deadline_ns)
{
    if (request->io)
        return request->io->send(request, buffer, size, deadline_ns);
    unsigned failures = 0;
    for (;;) {
        bool ending = sb_is_ending(request);
        if (ending)
            sb_slot_enter(request->slot, SB_WRITING);
        int r = ending ? sb_wait(request, request->fd, POLLOUT, deadline_ns) : 0;
        if (r < 0)
            return r;
        ssize_t n = send(request->fd, buffer, size, MSG_NOSIGNAL | (ending ? MSG_DONTWAIT : 0));
        if (n >= 0)
            return n;
        int error = errno;
        sb_slot_enter(request->slot, SB_WRITING);
        r = ending && error == EAGAIN ? 0
                                      : sb_wait_after_failure(request, POLLOUT, deadline_ns, error, &failures);
        if (r < 0)
            return r;
    }
}

/* At least `least` of the bytes, on a stream. */
static ssize_t send_least(struct sb_request *request, const char *buffer, size_t size, size_t least)
{
    if (request->fd < 0)
        return -EBADF;
    if (may_block(request))
        sb_slot_enter(request->slot, SB_WRITING);
    int64_t deadline_ns = sb_operation_deadline_ns(request);
    size_t sent = 0;
    ssize_t n = 0;
    while (sent < least && (n = send_some(request, buffer + sent, size - sent, deadline_ns)) >= 0) {
        sent += n;
        if (sent < least && deadline_ns != NEVER && sb_now_ns() >= deadline_ns)
            n = -ETIMEDOUT;
        if (n < 0)
            break;
    }
    sb_note_result(request, n);
    sb_give_way(request);
    if (__atomic_load_n(&request->slot->state, __ATOMIC_RELAXED) != SB_HANDLING)
        sb_slot_enter(request->slot, SB_HANDLING);
    return n < 0 ? n : (ssize_t)sent;
}

ssize_t sb_send(struct sb_request *request, const void *buffer, size_t size)
{
    if (!request->datagram)
        return send_least(request, buffer, size, size > 0);
    int r = gather(request, buffer, size);
    return r < 0 ? r : (ssize_t)size;
}

int sb_sendall(struct sb_request *request, const void *buffer, size_t size)
{
    if (request->datagram)
        return gather(request, buffer, size);
    ssize_t n = send_least(request, buffer, size, size);
    return n < 0 ? n : 0;
}

int sb_printf(struct sb_request *request, const char *format, ...)
{
    char *text;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0)
        return -ENOMEM;
    int r = sb_sendall(request, text, length);
    free(text);
    return r < 0 ? r : length;
}
