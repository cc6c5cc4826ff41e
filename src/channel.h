/* pass: one process or thread accepts, and hands connections to the workers over a socket (SCM_RIGHTS, unix(7)).
 * Private. */
#ifndef CHANNEL_H
#define CHANNEL_H

#include "objects.h"

struct sb_channel {
    int in, out;    /* workers read descriptors from `in`, the supervisor writes to `out`; -1: closed here */
};

/* Makes server->channel. -EMFILE, -ENOMEM. */
int sb_channel_open(struct sb_server *server);

/* Gives a request's connection to a worker, and consumes the request. */
void sb_channel_send(struct sb_server *server, struct sb_request *request);

/* The next one, in a worker: 0, -EAGAIN: none, -ECANCELED: no more will come, or -errno. */
int sb_channel_receive(struct sb_server *server, struct sb_request **ret_request);

/* Without a channel these do nothing. leave: a worker in a process of its own leaves the writing end to its parent.
 * end: tells the workers that no more will come. close: they have ended. */
void sb_channel_leave(struct sb_server *server);
void sb_channel_end(struct sb_server *server);
void sb_channel_close(struct sb_server *server);

#endif
