/* Whole messages over a request: sb_recv_message and sb_send_message. The framing itself is frame.c's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "receive.h"

/* --- receiving ---------------------------------------------------------------------------------------------------- */

static int recv_bare(struct sb_request *request, void *buffer, size_t size, size_t *ret_length)
{
    bool empty_datagram = request->datagram && request->input_end == 0 && !request->heard;
    ssize_t n = sb_recv(request, buffer, size);
    request->heard = true;
    if (n < 0 || (n == 0 && !empty_datagram))
        return n;
    *ret_length = n;
    return 1;
}

/* Some input that was not yet read: 1, 0 at the end, or -errno. */
static int have_input(struct sb_request *request)
{
    if (request->input_begin < request->input_end)
        return 1;
    ssize_t n = sb_fill_input(request);
    return n < 0 ? n : n > 0;
}

/* Out of line: its decoder would lie on the stack of each fiber that waits for a bare message. */
static int __attribute__((noinline)) recv_framed(struct sb_request *request, enum sb_frame frame, void *buffer,
                                                 size_t size, size_t *ret_length)
{
    struct sb_frame_decoder decoder = { .frame = frame, .limit = size };
    struct sb_frame_piece piece = { .last = false };
    size_t length = 0;
    while (!piece.last) {
        int r = have_input(request);
        if (r == 0 && decoder.taken > 0)
            return sb_fail(request, -EBADMSG, "the caller ended in the middle of a message");
        if (r <= 0)
            return r;
        ssize_t used = sb_frame_decode(&decoder, request->input + request->input_begin,
                                       request->input_end - request->input_begin, &piece);
        if (used < 0)
            return sb_fail(request, used, "the caller sent %s (framing %s)", decoder.why,
                           sb_frame_name(decoder.frame));
        memcpy((char *)buffer + length, piece.data, piece.size);
        length += piece.size;
        request->input_begin += used;
    }
    *ret_length = length;
    return 1;
}

int sb_recv_message(struct sb_request *request, void *buffer, size_t size, size_t *ret_length)
{
    enum sb_frame frame = request->server->attributes.framing.caller;
    if (request->datagram || frame == SB_FRAME_NONE)
        return recv_bare(request, buffer, size, ret_length);
    return recv_framed(request, frame, buffer, size, ret_length);
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

static int wait_for_ready(struct sb_request *request)
{
    char text[sizeof SB_FRAME_READY_TEXT - 1];
    size_t length = 0;
    while (length < sizeof text) {
        ssize_t n = sb_recv(request, text + length, sizeof text - length);
        if (n < 0)
            return n;
        length += n;
        if (n == 0 || memcmp(text, SB_FRAME_READY_TEXT, length) != 0)
            return sb_fail(request, -EBADMSG, "the caller did not answer a length by " SB_FRAME_READY_TEXT);
    }
    return 0;
}

/* One send for all of it, so that Nagle's algorithm does not keep the message back behind its head. */
static int send_joined(struct sb_request *request, const struct sb_frame_ends *ends, const void *message, size_t size)
{
    char *frame = malloc(ends->head_size + size + ends->tail_size);
    if (!frame)
        return -ENOMEM;
    char *end = mempcpy(frame, ends->head, ends->head_size);
    end = size > 0 ? mempcpy(end, message, size) : end;
    end = mempcpy(end, ends->tail, ends->tail_size);
    int r = sb_sendall(request, frame, end - frame);
    free(frame);
    return r;
}

int sb_send_message(struct sb_request *request, const void *message, size_t size)
{
    enum sb_frame frame = request->datagram ? SB_FRAME_NONE : request->server->attributes.framing.server;
    struct sb_frame_ends ends;
    if (frame == SB_FRAME_NONE)
        return sb_sendall(request, message, size);
    int r = sb_frame_encode(frame, message, size, &ends);
    if (r == -EINVAL)
        return sb_fail(request, r, "a message with a newline cannot be sent as a line");
    if (r < 0)
        return sb_fail(request, r, "a message of %zu bytes is too long for the framing %s", size,
                       sb_frame_name(frame));
    if (frame != SB_FRAME_READY)
        return send_joined(request, &ends, message, size);
    r = sb_sendall(request, ends.head, ends.head_size);
    if (r == 0)
        r = wait_for_ready(request);
    return r < 0 ? r : sb_sendall(request, message, size);
}
