#include "ring.h"

#include <errno.h>

#include "../ground/clock.h"

struct io_uring_sqe *sb_ring_entry(struct sb_ring *ring)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&ring->ring);
    while (!entry) {
        if (io_uring_submit(&ring->ring) < 0)
            sb_nap(1);
        entry = io_uring_get_sqe(&ring->ring);
    }
    return entry;
}

void sb_ring_tag(struct io_uring_sqe *entry, void *pointer, enum sb_ring_tag tag)
{
    io_uring_sqe_set_data64(entry, (uintptr_t)pointer | tag);
}

void sb_ring_cancel(struct sb_ring *ring, void *pointer, enum sb_ring_tag tag)
{
    struct io_uring_sqe *entry = sb_ring_entry(ring);
    io_uring_prep_cancel64(entry, (uintptr_t)pointer | tag, 0);
    sb_ring_tag(entry, NULL, SB_RING_NOBODY);
}

void sb_operation_call_off(struct sb_loop *loop, struct sb_operation *operation)
{
    sb_ring_cancel(sb_ring_of(loop), operation, SB_RING_OPERATION);
    while (!operation->done)
        sb_task_park(loop, NEVER);
}

int sb_operation_await(struct sb_loop *loop, struct sb_operation *operation, int64_t deadline_ns)
{
    int r = 0;
    while (!operation->done && r >= 0)
        r = loop->cutting ? -ECANCELED : sb_task_park(loop, deadline_ns);
    if (operation->done)
        return operation->result;
    sb_operation_call_off(loop, operation);
    return operation->result >= 0 ? operation->result : r;
}

void sb_operation_tell(struct sb_loop *loop, struct sb_operation *operation, int result)
{
    operation->done = true;
    operation->result = result;
    sb_task_wake(loop, operation->task, result);
}
