/* A loop's io_uring (io_uring(7)): entries, what completions are for, and single operations that a fiber waits for.
 * Private. */
#ifndef FIBER_RING_H
#define FIBER_RING_H

#include <liburing.h>
#include "task.h"

/* What a completion is for: the low bits of its user_data, beside a pointer. */
enum sb_ring_tag {
    SB_RING_OPERATION, SB_RING_RECEIVE, SB_RING_GATE, SB_RING_ACCEPT, SB_RING_NOBODY,
    SB_RING_TAG_BITS = 3, SB_RING_TAGS = (1 << SB_RING_TAG_BITS) - 1,
};

enum { SB_RING_BUFFERS = 512 };

/* What has been received (ring_connection.c), in buffers that all connections share. */
struct sb_ring_buffers {
    struct io_uring_buf_ring *provided;
    char *memory;
    struct {
        uint16_t next, begin, size;
    } queued[SB_RING_BUFFERS];  /* of the buffers that hold what nobody has read yet */
};

/* Who has been accepted (ring_accept.c). */
struct sb_ring_accepts {
    struct sb_ring_accepted *accepted;  /* connections that nobody has taken yet */
    unsigned n_accepted, next_accepted, room;
    unsigned n_accepts;                 /* listeners at which an accept is under way */
    bool listens;
    int error;
};

struct sb_ring {
    struct io_uring ring;
    struct sb_ring_buffers buffers;
    struct sb_ring_accepts accepts;
    bool gate_ready;            /* may have more to tell */
};

static inline struct sb_ring *sb_ring_of(const struct sb_loop *loop)
{
    return loop->engine_state;
}

/* An entry for this turn's system call; and what its completion is for. */
struct io_uring_sqe *sb_ring_entry(struct sb_ring *ring);
void sb_ring_tag(struct io_uring_sqe *entry, void *pointer, enum sb_ring_tag tag);

/* Calls off what was asked for with this tag. */
void sb_ring_cancel(struct sb_ring *ring, void *pointer, enum sb_ring_tag tag);

/* On a fiber: until the operation has completed; its result, or -ETIMEDOUT, -ECANCELED when it was called off. What it
 * works on must stay until it has completed, so a wait that ends early does not end before that. */
int sb_operation_await(struct sb_loop *loop, struct sb_operation *operation, int64_t deadline_ns);
void sb_operation_call_off(struct sb_loop *loop, struct sb_operation *operation);

/* It has completed. */
void sb_operation_tell(struct sb_loop *loop, struct sb_operation *operation, int result);

#endif
