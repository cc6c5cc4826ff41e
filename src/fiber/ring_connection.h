/* A connection's bytes over io_uring: a receive that goes on by itself, into buffers that all connections share, and
 * sends by the ring too. Private. */
#ifndef FIBER_RING_CONNECTION_H
#define FIBER_RING_CONNECTION_H

#include "ring.h"

/* The shared buffers; -ENOMEM and the like. close: of what open has left, also when it failed. */
int sb_ring_buffers_open(struct sb_ring *ring);
void sb_ring_buffers_close(struct sb_ring *ring);

/* sb_recv and sb_send of a request on a fiber. */
extern const struct sb_io sb_ring_io;

/* Whether something can be received at once. */
static inline bool sb_ring_has_input(const struct sb_caller *caller)
{
    return caller->ring.n_queued > 0 || caller->ring.ended;
}

/* Begins to receive; tell: a receive of this caller's has brought something, or its end. */
void sb_ring_start_receiving(struct sb_ring *ring, struct sb_caller *caller);
void sb_ring_tell_received(struct sb_loop *loop, struct sb_caller *caller, const struct io_uring_cqe *completion);

/* The connection becomes an ordinary socket again, for its end. On its fiber. */
void sb_ring_leave(struct sb_loop *loop, struct sb_caller *caller);

#endif
