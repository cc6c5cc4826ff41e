/* A client's connection, or the socket that it sends datagrams from. */
#ifndef CONNECTION_H
#define CONNECTION_H

#include "run.h"

/* Begins to connect; the client must have none. 0, or -errno, of a Unix socket -EAGAIN where the backlog is full. */
int connection_dial(struct run *run, struct client *client);

/* Has epoll(7) wait for what comes, and, with `out`, until it can send. 0 or -errno. */
int connection_watch(struct run *run, struct client *client, bool out);

/* Its port goes into the client's call: 0 on a Unix socket. */
void connection_note_port(struct client *client);

/* Counts it in the result where the backlog was full when the first SYN came: the kernel has dropped that, and the
 * client has sent another one. */
void connection_look_for_lost_syn(struct run *run, const struct client *client);

/* Ends it, if there is one. */
void connection_hang_up(struct client *client);

#endif
