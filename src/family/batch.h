/* Datagrams by the dozen, recvmmsg(2) and sendmmsg(2), for a loop that handles them itself: one system call for as many
 * as have come, and one for their replies. Private. A batch belongs to one loop and one listener. */
#ifndef FAMILY_BATCH_H
#define FAMILY_BATCH_H

#include "../objects.h"

struct sb_batch;

/* For the loop of this thread: a batch for each listener that can use one, where the strategy can. A loop without them
 * takes one datagram at a time. */
void sb_batches_open(struct sb_server *server);

/* Sends what is left, and frees them. */
void sb_batches_close(struct sb_server *server);

/* Of this thread's loop, or NULL. */
struct sb_batch *sb_batch_find(const struct sb_listener *listener);

/* The next datagram: 0, -EAGAIN when there is none, or -errno. Before it asks the kernel for more, the replies
 * leave; that of this request leaves with the batch's. */
int sb_batch_get_request(struct sb_batch *batch, struct sb_request **ret_request);

/* The index of a listener of which datagrams wait in a batch of this loop, or -1. */
int sb_batches_waiting(const struct sb_server *server);

/* Sends the replies now. */
void sb_batches_flush(struct sb_server *server);

#endif
