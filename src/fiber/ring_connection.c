#include "ring_connection.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>

#include "../child.h"
#include "../ground/clock.h"

enum { GROUP = 1, BUFFER_SIZE = 512 };

/* Buffers of one connection that its handler has not read yet; then its receive is stopped until it has. */
enum { QUEUED_MAX = 16 };

/* --- the buffers -------------------------------------------------------------------------------------------------- */

static char *buffer_at(const struct sb_ring *ring, uint16_t buffer)
{
    return ring->buffers.memory + (size_t)buffer * BUFFER_SIZE;
}

static void give_back(struct sb_ring *ring, uint16_t buffer)
{
    io_uring_buf_ring_add(ring->buffers.provided, buffer_at(ring, buffer), BUFFER_SIZE, buffer,
                          io_uring_buf_ring_mask(SB_RING_BUFFERS), 0);
    io_uring_buf_ring_advance(ring->buffers.provided, 1);
}

int sb_ring_buffers_open(struct sb_ring *ring)
{
    const int protection = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
    struct sb_ring_buffers *buffers = &ring->buffers;
    buffers->memory = mmap(NULL, (size_t)SB_RING_BUFFERS * BUFFER_SIZE, protection, flags, -1, 0);
    buffers->provided = mmap(NULL, SB_RING_BUFFERS * sizeof(struct io_uring_buf), protection, flags, -1, 0);
    if (buffers->memory == MAP_FAILED || buffers->provided == MAP_FAILED)
        return -ENOMEM;
    struct io_uring_buf_reg registration = { .ring_addr = (uintptr_t)buffers->provided,
                                             .ring_entries = SB_RING_BUFFERS, .bgid = GROUP };
    int r = io_uring_register_buf_ring(&ring->ring, &registration, 0);
    io_uring_buf_ring_init(buffers->provided);
    for (unsigned i = 0; r == 0 && i < SB_RING_BUFFERS; i++)
        give_back(ring, i);
    return r;
}

void sb_ring_buffers_close(struct sb_ring *ring)
{
    if (ring->buffers.memory != MAP_FAILED)
        munmap(ring->buffers.memory, (size_t)SB_RING_BUFFERS * BUFFER_SIZE);
    if (ring->buffers.provided != MAP_FAILED)
        munmap(ring->buffers.provided, SB_RING_BUFFERS * sizeof(struct io_uring_buf));
}

/* --- receiving ---------------------------------------------------------------------------------------------------- */

void sb_ring_start_receiving(struct sb_ring *ring, struct sb_caller *caller)
{
    struct io_uring_sqe *entry = sb_ring_entry(ring);
    io_uring_prep_recv_multishot(entry, caller->request->fd, NULL, 0, 0);
    entry->flags |= IOSQE_BUFFER_SELECT;
    entry->buf_group = GROUP;
    sb_ring_tag(entry, caller, SB_RING_RECEIVE);
    caller->ring.receives = true;
}

/* The first of the queued buffers has been read. */
static void drop_first(struct sb_ring *ring, struct sb_ring_caller *input)
{
    uint16_t buffer = input->first;
    input->first = ring->buffers.queued[buffer].next;
    input->n_queued--;
    give_back(ring, buffer);
}

static size_t take(struct sb_ring *ring, struct sb_ring_caller *input, char *to, size_t room)
{
    size_t taken = 0;
    while (input->n_queued > 0 && taken < room) {
        uint16_t buffer = input->first;
        size_t begin = ring->buffers.queued[buffer].begin, left = ring->buffers.queued[buffer].size - begin;
        size_t n = room - taken < left ? room - taken : left;
        memcpy(to + taken, buffer_at(ring, buffer) + begin, n);
        taken += n;
        ring->buffers.queued[buffer].begin += n;
        if (n < left)
            break;
        drop_first(ring, input);
    }
    return taken;
}

/* Without the shared buffers, which others have filled. */
static ssize_t recv_alone(struct sb_caller *caller, void *buffer, size_t size, int64_t deadline_ns)
{
    struct sb_loop *loop = sb_loop;
    struct sb_operation operation = { .task = loop->current };
    struct io_uring_sqe *entry = sb_ring_entry(sb_ring_of(loop));
    caller->ring.starved = false;
    io_uring_prep_recv(entry, caller->request->fd, buffer, size, 0);
    sb_ring_tag(entry, &operation, SB_RING_OPERATION);
    return sb_operation_await(loop, &operation, deadline_ns);
}

static int wait_for_input(struct sb_loop *loop, struct sb_caller *caller, int64_t deadline_ns)
{
    if (!caller->ring.receives)
        sb_ring_start_receiving(sb_ring_of(loop), caller);
    caller->watch.task = loop->current;
    caller->watch.awaited = POLLIN;
    int r = sb_task_park(loop, deadline_ns);
    caller->watch.task = NULL;
    return r;
}

/* What a handler has forked shares the ring, and must leave it alone; the socket blocks. */
static ssize_t recv_plainly(const struct sb_request *request, void *buffer, size_t size)
{
    ssize_t n = recv(request->fd, buffer, size, 0);
    return n < 0 ? -errno : n;
}

static ssize_t send_plainly(const struct sb_request *request, const void *buffer, size_t size)
{
    ssize_t n = send(request->fd, buffer, size, MSG_NOSIGNAL);
    return n < 0 ? -errno : n;
}

static ssize_t recv_by_ring(struct sb_request *request, void *buffer, size_t size, int64_t deadline_ns)
{
    struct sb_loop *loop = sb_loop;
    struct sb_caller *caller = loop->current->caller;
    if (sb_child_strays())
        return recv_plainly(request, buffer, size);
    while (!sb_ring_has_input(caller)) {
        if (loop->cutting)
            return -ECANCELED;
        if (caller->ring.starved)
            return recv_alone(caller, buffer, size, deadline_ns);
        int r = wait_for_input(loop, caller, deadline_ns);
        if (r < 0 && !sb_ring_has_input(caller))
            return r;
    }
    return caller->ring.n_queued > 0 ? (ssize_t)take(sb_ring_of(loop), &caller->ring, buffer, size) : caller->ring.end;
}

static void queue(struct sb_ring *ring, struct sb_ring_caller *input, uint16_t buffer, int size)
{
    ring->buffers.queued[buffer].begin = 0;
    ring->buffers.queued[buffer].size = size;
    if (input->n_queued++ == 0)
        input->first = buffer;
    else
        ring->buffers.queued[input->last].next = buffer;
    input->last = buffer;
}

/* What a receive has brought. -ECANCELED is our own doing, and without a buffer there is something yet to come. */
static void note_result(struct sb_ring *ring, struct sb_ring_caller *input, const struct io_uring_cqe *completion)
{
    uint16_t buffer = completion->flags >> IORING_CQE_BUFFER_SHIFT;
    int result = completion->res;
    input->receives = completion->flags & IORING_CQE_F_MORE;
    input->starved = result == -ENOBUFS;
    if (result > 0)
        queue(ring, input, buffer, result);
    else if (completion->flags & IORING_CQE_F_BUFFER)
        give_back(ring, buffer);
    if (result == 0 || (result < 0 && result != -ENOBUFS && result != -ECANCELED)) {
        input->ended = true;
        input->end = result;
    }
}

void sb_ring_tell_received(struct sb_loop *loop, struct sb_caller *caller, const struct io_uring_cqe *completion)
{
    struct sb_ring *ring = sb_ring_of(loop);
    note_result(ring, &caller->ring, completion);
    if (caller->ring.n_queued == QUEUED_MAX && caller->ring.receives)
        sb_ring_cancel(ring, caller, SB_RING_RECEIVE);
    if (caller->watch.held && !sb_ring_has_input(caller) && !caller->ring.starved)
        sb_ring_start_receiving(ring, caller);
    else
        sb_watch_tell(loop, &caller->watch, POLLIN);
}

void sb_ring_leave(struct sb_loop *loop, struct sb_caller *caller)
{
    struct sb_ring *ring = sb_ring_of(loop);
    if (caller->ring.receives)
        sb_ring_cancel(ring, caller, SB_RING_RECEIVE);
    caller->watch.task = loop->current;
    caller->watch.awaited = POLLIN;
    while (caller->ring.receives)
        sb_task_park(loop, NEVER);
    caller->watch.task = NULL;
    caller->ring.left = true;
    while (caller->ring.n_queued > 0)
        drop_first(ring, &caller->ring);
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

static ssize_t send_by_ring(struct sb_request *request, const void *buffer, size_t size, int64_t deadline_ns)
{
    struct sb_loop *loop = sb_loop;
    if (sb_child_strays())
        return send_plainly(request, buffer, size);
    struct sb_operation operation = { .task = loop->current };
    struct io_uring_sqe *entry = sb_ring_entry(sb_ring_of(loop));
    io_uring_prep_send(entry, request->fd, buffer, size, MSG_NOSIGNAL);
    sb_ring_tag(entry, &operation, SB_RING_OPERATION);
    return sb_operation_await(loop, &operation, deadline_ns);
}

const struct sb_io sb_ring_io = { .recv = recv_by_ring, .send = send_by_ring };
