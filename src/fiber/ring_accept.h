/* Accepting by io_uring: an accept that goes on by itself at each listener. Private. */
#ifndef FIBER_RING_ACCEPT_H
#define FIBER_RING_ACCEPT_H

#include "ring.h"

/* sb_engine's listen, accepted and accepts. */
void sb_ring_listen(struct sb_loop *loop, bool on);
int sb_ring_take_accepted(struct sb_loop *loop, unsigned *ret_listener, int *ret_fd);
bool sb_ring_accepts(const struct sb_loop *loop);

/* An accept has completed. */
void sb_ring_tell_accepted(struct sb_loop *loop, const struct io_uring_cqe *completion);

void sb_ring_accepts_close(struct sb_ring *ring);

#endif
