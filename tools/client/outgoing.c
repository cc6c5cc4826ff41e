#include "outgoing.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum { PARTS = sizeof((struct outgoing *)0)->parts / sizeof(struct iovec), MESSAGE_PARTS = PARTS - 1 };

static void add(struct outgoing *outgoing, const void *bytes, size_t size)
{
    outgoing->parts[outgoing->end++] = (struct iovec){ .iov_base = (void *)bytes, .iov_len = size };
}

int outgoing_set(struct outgoing *outgoing, enum sb_frame frame, const char *message, size_t size, bool newline)
{
    int r = sb_frame_encode(frame, message, size + newline, &outgoing->ends);

    if (r < 0)
        return r;
    outgoing->begin = outgoing->end = 0;
    add(outgoing, outgoing->ends.head, outgoing->ends.head_size);
    add(outgoing, message, size);
    add(outgoing, "\n", newline);
    add(outgoing, outgoing->ends.tail, outgoing->ends.tail_size);
    return 0;
}

int outgoing_add(struct outgoing *outgoing, const char *answer)
{
    if (outgoing_is_empty(outgoing))
        outgoing->begin = outgoing->end = MESSAGE_PARTS;
    if (outgoing->end == PARTS)
        return -ENOBUFS;
    add(outgoing, answer, strlen(answer));
    return 0;
}

static void forget_sent(struct outgoing *outgoing, size_t size)
{
    struct iovec *part = outgoing->parts + outgoing->begin;

    for (; outgoing->begin < outgoing->end && size >= part->iov_len; outgoing->begin++)
        size -= part++->iov_len;
    if (size > 0) {
        part->iov_base = (char *)part->iov_base + size;
        part->iov_len -= size;
    }
}

int outgoing_send(struct outgoing *outgoing, int fd)
{
    struct msghdr message = { .msg_iov = outgoing->parts + outgoing->begin,
                              .msg_iovlen = outgoing->end - outgoing->begin };
    ssize_t size = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (size < 0)
        return -errno;
    forget_sent(outgoing, size);
    return 0;
}

bool outgoing_is_empty(const struct outgoing *outgoing)
{
    return outgoing->begin == outgoing->end;
}
