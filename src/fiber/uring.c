/* The io_uring engine: one system call for everything that a turn of the loop has asked for. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "gate_poll.h"
#include "ring.h"
#include "ring_accept.h"
#include "ring_connection.h"

enum { ENTRIES = 512 };

/* --- waiting for descriptors -------------------------------------------------------------------------------------- */

static int arm_connection(struct sb_loop *loop, struct sb_task *task, short events)
{
    struct sb_caller *caller = task->caller;
    if (sb_ring_has_input(caller))
        return POLLIN;
    if (!caller->ring.receives)
        sb_ring_start_receiving(sb_ring_of(loop), caller);
    caller->watch.task = task;
    caller->watch.awaited = events;
    task->operation = (struct sb_operation){ .done = true };
    return 0;
}

static int arm(struct sb_loop *loop, struct sb_task *task, int fd, short events)
{
    const struct sb_request *request = task->caller->request;
    if (fd == request->fd && !request->datagram && !task->caller->ring.left && events == POLLIN)
        return arm_connection(loop, task, events);
    struct io_uring_sqe *entry = sb_ring_entry(sb_ring_of(loop));
    task->operation = (struct sb_operation){ .task = task };
    io_uring_prep_poll_add(entry, fd, events);
    sb_ring_tag(entry, &task->operation, SB_RING_OPERATION);
    return 0;
}

static void disarm(struct sb_loop *loop, struct sb_task *task)
{
    task->caller->watch.task = NULL;
    if (task->operation.done)
        return;
    int result = task->result;
    sb_operation_call_off(loop, &task->operation);
    task->result = task->operation.result > 0 ? task->operation.result : result;
}

static int hold(struct sb_loop *loop, struct sb_caller *caller)
{
    sb_ring_start_receiving(sb_ring_of(loop), caller);
    return 0;
}

/* --- the gate ----------------------------------------------------------------------------------------------------- */

/* Its epoll instance tells by a poll that goes on by itself, but only of what is new. */
static void watch_gate(struct sb_loop *loop)
{
    struct sb_ring *ring = sb_ring_of(loop);
    struct io_uring_sqe *entry = sb_ring_entry(ring);
    io_uring_prep_poll_multishot(entry, loop->gate->epoll_fd, POLLIN);
    sb_ring_tag(entry, NULL, SB_RING_GATE);
    ring->gate_ready = true;
}

static int ask_gate(struct sb_loop *loop)
{
    struct epoll_event events[16];
    int n = epoll_wait(loop->gate->epoll_fd, events, 16, 0), r = n < 0 ? -errno : 0;
    for (int i = 0; i < n; i++)
        sb_gate_tell(loop->gate, &events[i]);
    sb_ring_of(loop)->gate_ready = n != 0;
    return r;
}

/* --- the turn ----------------------------------------------------------------------------------------------------- */

static void tell(struct sb_loop *loop, const struct io_uring_cqe *completion)
{
    void *pointer = (void *)(uintptr_t)(completion->user_data & ~(uint64_t)SB_RING_TAGS);
    switch (completion->user_data & SB_RING_TAGS) {
    case SB_RING_OPERATION:
        sb_operation_tell(loop, pointer, completion->res);
        break;
    case SB_RING_RECEIVE:
        sb_ring_tell_received(loop, pointer, completion);
        break;
    case SB_RING_ACCEPT:
        sb_ring_tell_accepted(loop, completion);
        break;
    case SB_RING_GATE:
        if (completion->flags & IORING_CQE_F_MORE)
            sb_ring_of(loop)->gate_ready = true;
        else
            watch_gate(loop);
    }
}

static int submit_and_wait(struct sb_ring *ring, int timeout_ms, sigset_t *mask)
{
    struct io_uring_cqe *completion;
    if (timeout_ms == 0)
        return io_uring_submit_and_get_events(&ring->ring);
    struct __kernel_timespec limit = { .tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000LL };
    return io_uring_submit_and_wait_timeout(&ring->ring, &completion, 1, timeout_ms < 0 ? NULL : &limit, mask);
}

static int turn(struct sb_loop *loop, int timeout_ms)
{
    struct sb_ring *ring = sb_ring_of(loop);
    struct io_uring_cqe *completion;
    unsigned head, count = 0;
    int r = submit_and_wait(ring, ring->gate_ready ? 0 : timeout_ms, &loop->gate->mask);
    io_uring_for_each_cqe(&ring->ring, head, completion) {
        tell(loop, completion);
        count++;
    }
    io_uring_cq_advance(&ring->ring, count);
    if ((r >= 0 || r == -ETIME) && ring->gate_ready)
        r = ask_gate(loop);
    return count == 0 && r < 0 && r != -ETIME ? r : (int)count;
}

/* --- begin and end ------------------------------------------------------------------------------------------------ */

static int init_ring(struct sb_ring *ring)
{
    struct io_uring_params parameters = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
        .cq_entries = 4 * ENTRIES,
    };
    return io_uring_queue_init_params(ENTRIES, &ring->ring, &parameters);
}

static void close_engine(struct sb_loop *loop)
{
    struct sb_ring *ring = sb_ring_of(loop);
    io_uring_queue_exit(&ring->ring);
    sb_ring_buffers_close(ring);
    sb_ring_accepts_close(ring);
    free(ring);
}

static int open_engine(struct sb_loop *loop)
{
    struct sb_ring *ring = calloc(1, sizeof *ring);
    if (!ring)
        return -ENOMEM;
    int r = init_ring(ring);
    if (r < 0) {
        free(ring);
        return r;
    }
    loop->engine_state = ring;
    r = sb_ring_buffers_open(ring);
    if (r < 0)
        close_engine(loop);
    else
        watch_gate(loop);
    return r;
}

static int try_engine(void)
{
    struct sb_loop loop = { .gate = &(struct sb_gate){ .epoll_fd = -1 } };
    int r = open_engine(&loop);
    if (r == 0)
        close_engine(&loop);
    return r;
}

const struct sb_engine sb_uring_engine = {
    .name = "uring",
    .try = try_engine,
    .open = open_engine,
    .close = close_engine,
    .turn = turn,
    .arm = arm,
    .disarm = disarm,
    .hold = hold,
    .io = &sb_ring_io,
    .leave = sb_ring_leave,
    .listen = sb_ring_listen,
    .accepted = sb_ring_take_accepted,
    .accepts = sb_ring_accepts,
};
