/* The client's side of a talk. */
#ifndef CLIENT_TALK_H
#define CLIENT_TALK_H

#include <stdbool.h>
#include <switchboard/address.h>

struct talk_options {
    int timeout_ms;     /* the longest wait for a reply; -1: none */
    bool greeting;      /* the server speaks first (streams only) */
    bool newline;       /* each message is sent with a newline behind it */
};

/* Talks over fd, which is connected to address and stays the caller's, until input or talk end.
 * Returns the exit status; what went wrong was said on standard error. */
int client_talk(int fd, const struct sb_address *address, const struct talk_options *options);

#endif
