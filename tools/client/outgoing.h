/* What the client has to send next. */
#ifndef OUTGOING_H
#define OUTGOING_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <switchboard/frame.h>

/* A message in its frame, and perhaps an answer to a frame of the server's. Points to the bytes, and into itself. */
struct outgoing {
    struct sb_frame_ends ends;
    struct iovec parts[5];
    int begin, end;         /* of the parts that are still to be sent */
};

/* Takes a message, with a newline behind it or not, and frames it; nothing else may be left to send.
 * 0, or -EMSGSIZE or -EINVAL as sb_frame_encode(). The bytes are borrowed until they are sent. */
int outgoing_set(struct outgoing *outgoing, enum sb_frame frame, const char *message, size_t size, bool newline);

/* Takes an answer to send after what is there. -ENOBUFS: one is there already. The string must be static. */
int outgoing_add(struct outgoing *outgoing, const char *answer);

/* Sends what can be sent without waiting. Returns 0 or -errno. */
int outgoing_send(struct outgoing *outgoing, int fd);
bool outgoing_is_empty(const struct outgoing *outgoing);

#endif
