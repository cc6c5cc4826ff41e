/* The client's side of a talk. */
#ifndef TALK_H
#define TALK_H

#include <stdbool.h>
#include <stddef.h>
#include "../arguments.h"
#include "reply.h"

#define CLIENT_RECV_MAX (64 * 1024)

struct talk_options {
    int timeout_ms;             /* the longest wait for a reply; -1: none */
    unsigned recv_size;         /* what one receive asks for, at most CLIENT_RECV_MAX bytes */
    enum sb_frame frame;        /* of what the client says (streams only, as reply.frame) */
    const char *const *messages;    /* what to say, up to a NULL; NULL: the lines of standard input */
    bool greeting;              /* the server speaks first (streams only) */
    bool one_way;               /* the server answers nothing, and need not */
    bool newline;               /* each message is sent with a newline behind it */
    bool authenticated;         /* the server was told who calls, and may be about to hang up */
    struct reply_options reply; /* reply.quit: a line `quit` or `exit` leaves as well; on a terminal always */
};

/* Talks over fd, which is connected to that one of the addresses and stays the caller's, until input or talk end. Where
 * the first datagram is refused, those behind it are tried.
 * Returns the exit status; what went wrong was said on standard error. */
int client_talk(int fd, const struct addresses *addresses, unsigned which, const struct talk_options *options);

#endif
