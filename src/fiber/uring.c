/* The io_uring engine (io_uring(7)): a receive that goes on by itself for each connection, into buffers that all share,
 * sends by the ring too, and one system call for everything that a turn of the loop has asked for. */
#include "loop.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ENTRIES = 512, GROUP = 1, BUFFERS = 512, BUFFER_SIZE = 512 };

/* Buffers of one connection that its handler has not read yet; then its receive is stopped until it has. */
enum { QUEUED_MAX = 16 };

/* What a completion is for: the low bits of its user_data, beside a pointer. */
enum { OPERATION, RECEIVE, GATE, ACCEPT, NOBODY, TAG_BITS = 3, TAGS = (1 << TAG_BITS) - 1 };

struct accepted {
    unsigned listener;
    int fd;
};

struct uring {
    struct io_uring ring;
    struct io_uring_buf_ring *provided;
    char *buffers;
    struct {
        uint16_t next, begin, size;
    } queued[BUFFERS];          /* of the buffers that hold what nobody has read yet */
    bool gate_ready;            /* may have more to tell */

    struct accepted *accepted;  /* connections that nobody has taken yet */
    unsigned n_accepted, next_accepted, room;
    unsigned n_accepts;         /* listeners at which an accept is under way */
    bool listens;
    int accept_error;
};

static struct io_uring_sqe *next_entry(struct uring *uring)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&uring->ring);
    while (!entry) {
        io_uring_submit(&uring->ring);
        entry = io_uring_get_sqe(&uring->ring);
    }
    return entry;
}

static void set_tag(struct io_uring_sqe *entry, void *pointer, unsigned tag)
{
    io_uring_sqe_set_data64(entry, (uintptr_t)pointer | tag);
}

static void cancel(struct uring *uring, void *pointer, unsigned tag)
{
    struct io_uring_sqe *entry = next_entry(uring);
    io_uring_prep_cancel64(entry, (uintptr_t)pointer | tag, 0);
    set_tag(entry, NULL, NOBODY);
}

/* --- single operations -------------------------------------------------------------------------------------------- */

/* What it works on must stay until it has completed, so a wait that ends early does not end before that. */
static void call_off(struct sb_loop *loop, struct sb_operation *operation)
{
    cancel(loop->engine_state, operation, OPERATION);
    while (!operation->done)
        sb_loop_park(loop, NEVER);
}

static int await(struct sb_loop *loop, struct sb_operation *operation, int64_t deadline_ns)
{
    int r = 0;
    while (!operation->done && r >= 0)
        r = loop->cutting ? -ECANCELED : sb_loop_park(loop, deadline_ns);
    if (operation->done)
        return operation->result;
    call_off(loop, operation);
    return operation->result >= 0 ? operation->result : r;
}

static ssize_t send_by_ring(struct sb_request *request, const void *buffer, size_t size, int64_t deadline_ns)
{
    struct sb_loop *loop = sb_loop;
    struct sb_operation operation = { .task = loop->current };
    struct io_uring_sqe *entry = next_entry(loop->engine_state);
    io_uring_prep_send(entry, request->fd, buffer, size, MSG_NOSIGNAL);
    set_tag(entry, &operation, OPERATION);
    return await(loop, &operation, deadline_ns);
}

static void tell_operation(struct sb_loop *loop, struct sb_operation *operation, int result)
{
    operation->done = true;
    operation->result = result;
    sb_loop_wake(loop, operation->task, result);
}

/* --- receiving ---------------------------------------------------------------------------------------------------- */

static void give_back(struct uring *uring, uint16_t buffer)
{
    io_uring_buf_ring_add(uring->provided, uring->buffers + (size_t)buffer * BUFFER_SIZE, BUFFER_SIZE, buffer,
                          io_uring_buf_ring_mask(BUFFERS), 0);
    io_uring_buf_ring_advance(uring->provided, 1);
}

static void start_receiving(struct uring *uring, struct sb_watch *watch, int fd)
{
    struct io_uring_sqe *entry = next_entry(uring);
    io_uring_prep_recv_multishot(entry, fd, NULL, 0, 0);
    entry->flags |= IOSQE_BUFFER_SELECT;
    entry->buf_group = GROUP;
    set_tag(entry, watch, RECEIVE);
    watch->receives = true;
}

static bool has_input(const struct sb_watch *watch)
{
    return watch->n_queued > 0 || watch->ended;
}

/* The first of the queued buffers has been read. */
static void drop_first(struct uring *uring, struct sb_watch *watch)
{
    uint16_t buffer = watch->first;
    watch->first = uring->queued[buffer].next;
    watch->n_queued--;
    give_back(uring, buffer);
}

static size_t take(struct uring *uring, struct sb_watch *watch, char *to, size_t room)
{
    size_t taken = 0;
    while (watch->n_queued > 0 && taken < room) {
        uint16_t buffer = watch->first;
        size_t left = uring->queued[buffer].size - uring->queued[buffer].begin;
        size_t n = room - taken < left ? room - taken : left;
        memcpy(to + taken, uring->buffers + (size_t)buffer * BUFFER_SIZE + uring->queued[buffer].begin, n);
        taken += n;
        uring->queued[buffer].begin += n;
        if (n < left)
            break;
        drop_first(uring, watch);
    }
    return taken;
}

/* Without the shared buffers, which others have filled. */
static ssize_t recv_alone(struct sb_request *request, void *buffer, size_t size, int64_t deadline_ns)
{
    struct sb_loop *loop = sb_loop;
    struct sb_operation operation = { .task = loop->current };
    struct io_uring_sqe *entry = next_entry(loop->engine_state);
    request->watch.starved = false;
    io_uring_prep_recv(entry, request->fd, buffer, size, 0);
    set_tag(entry, &operation, OPERATION);
    return await(loop, &operation, deadline_ns);
}

static ssize_t recv_by_ring(struct sb_request *request, void *buffer, size_t size, int64_t deadline_ns)
{
    struct sb_loop *loop = sb_loop;
    struct sb_watch *watch = &request->watch;
    while (!has_input(watch)) {
        if (loop->cutting)
            return -ECANCELED;
        if (watch->starved)
            return recv_alone(request, buffer, size, deadline_ns);
        if (!watch->receives)
            start_receiving(loop->engine_state, watch, request->fd);
        watch->task = loop->current;
        watch->awaited = POLLIN;
        int r = sb_loop_park(loop, deadline_ns);
        watch->task = NULL;
        if (r < 0 && !has_input(watch))
            return r;
    }
    return watch->n_queued > 0 ? (ssize_t)take(loop->engine_state, watch, buffer, size) : watch->end;
}

static void queue(struct uring *uring, struct sb_watch *watch, uint16_t buffer, int size)
{
    uring->queued[buffer].begin = 0;
    uring->queued[buffer].size = size;
    if (watch->n_queued++ == 0)
        watch->first = buffer;
    else
        uring->queued[watch->last].next = buffer;
    watch->last = buffer;
}

static void tell_received(struct sb_loop *loop, struct sb_watch *watch, const struct io_uring_cqe *completion)
{
    struct uring *uring = loop->engine_state;
    uint16_t buffer = completion->flags >> IORING_CQE_BUFFER_SHIFT;
    watch->receives = completion->flags & IORING_CQE_F_MORE;
    watch->starved = completion->res == -ENOBUFS;
    if (completion->res > 0)
        queue(uring, watch, buffer, completion->res);
    else if (completion->flags & IORING_CQE_F_BUFFER)
        give_back(uring, buffer);
    if (completion->res == 0 || (completion->res < 0 && completion->res != -ENOBUFS && completion->res != -ECANCELED)) {
        watch->ended = true;
        watch->end = completion->res;
    }
    if (watch->n_queued == QUEUED_MAX && watch->receives)
        cancel(uring, watch, RECEIVE);
    if (watch->holds && !has_input(watch) && !watch->starved)
        start_receiving(uring, watch, sb_watch_request(watch)->fd);
    else
        sb_watch_tell(loop, watch, POLLIN);
}

static int hold(struct sb_loop *loop, struct sb_request *request)
{
    start_receiving(loop->engine_state, &request->watch, request->fd);
    return 0;
}

/* The connection becomes an ordinary socket again, for its end. */
static void leave(struct sb_loop *loop, struct sb_request *request)
{
    struct sb_watch *watch = &request->watch;
    if (watch->receives)
        cancel(loop->engine_state, watch, RECEIVE);
    watch->task = loop->current;
    watch->awaited = POLLIN;
    while (watch->receives)
        sb_loop_park(loop, NEVER);
    watch->task = NULL;
    watch->left = true;
    while (watch->n_queued > 0)
        drop_first(loop->engine_state, watch);
}

/* --- waiting for descriptors -------------------------------------------------------------------------------------- */

static int arm(struct sb_loop *loop, struct sb_task *task, int fd, short events)
{
    struct sb_watch *watch = &task->request->watch;
    if (fd == task->request->fd && !task->request->datagram && !watch->left && events == POLLIN) {
        if (has_input(watch))
            return POLLIN;
        if (!watch->receives)
            start_receiving(loop->engine_state, watch, fd);
        watch->task = task;
        watch->awaited = events;
        task->operation = (struct sb_operation){ .done = true };
        return 0;
    }
    struct io_uring_sqe *entry = next_entry(loop->engine_state);
    task->operation = (struct sb_operation){ .task = task };
    io_uring_prep_poll_add(entry, fd, events);
    set_tag(entry, &task->operation, OPERATION);
    return 0;
}

static void disarm(struct sb_loop *loop, struct sb_task *task)
{
    task->request->watch.task = NULL;
    if (task->operation.done)
        return;
    int result = task->result;
    call_off(loop, &task->operation);
    task->result = task->operation.result > 0 ? task->operation.result : result;
}

/* --- the gate ----------------------------------------------------------------------------------------------------- */

/* Its epoll instance tells by a poll that goes on by itself, but only of what is new. */
static void watch_gate(struct sb_loop *loop)
{
    struct uring *uring = loop->engine_state;
    struct io_uring_sqe *entry = next_entry(uring);
    io_uring_prep_poll_multishot(entry, loop->gate->epoll_fd, POLLIN);
    set_tag(entry, NULL, GATE);
    uring->gate_ready = true;
}

static void ask_gate(struct sb_loop *loop)
{
    struct uring *uring = loop->engine_state;
    struct epoll_event events[16];
    int n = epoll_wait(loop->gate->epoll_fd, events, 16, 0);
    for (int i = 0; i < n; i++)
        sb_gate_tell(loop->gate, &events[i]);
    uring->gate_ready = n > 0;
}

/* --- accepting ---------------------------------------------------------------------------------------------------- */

/* Where other tags have a pointer. */
static void *listener_key(unsigned listener)
{
    return (void *)((uintptr_t)listener << TAG_BITS);
}

static void start_accepting(struct sb_loop *loop, unsigned listener)
{
    struct uring *uring = loop->engine_state;
    struct io_uring_sqe *entry = next_entry(uring);
    io_uring_prep_multishot_accept(entry, loop->server->listeners[listener]->fd, NULL, NULL, SOCK_CLOEXEC);
    set_tag(entry, listener_key(listener), ACCEPT);
    uring->n_accepts++;
}

static void engine_listen(struct sb_loop *loop, bool on)
{
    struct uring *uring = loop->engine_state;
    if (uring->listens == on)
        return;
    uring->listens = on;
    for (unsigned i = 0; i < loop->server->n_listeners; i++) {
        if (loop->server->listeners[i]->address.socktype != SOCK_STREAM)
            continue;
        if (on)
            start_accepting(loop, i);
        else
            cancel(uring, listener_key(i), ACCEPT);
    }
}

static void keep_accepted(struct uring *uring, unsigned listener, int fd)
{
    if (uring->next_accepted == uring->n_accepted)
        uring->next_accepted = uring->n_accepted = 0;
    if (uring->n_accepted == uring->room) {
        unsigned room = uring->room ? 2 * uring->room : 64;
        struct accepted *accepted = reallocarray(uring->accepted, room, sizeof *accepted);
        if (!accepted) {
            uring->accept_error = -ENOMEM;
            close(fd);
            return;
        }
        uring->accepted = accepted;
        uring->room = room;
    }
    uring->accepted[uring->n_accepted++] = (struct accepted){ listener, fd };
}

/* An accept that ends by itself is begun again, after a pause where something has run out. */
static void tell_accepted(struct sb_loop *loop, const struct io_uring_cqe *completion)
{
    struct uring *uring = loop->engine_state;
    unsigned listener = completion->user_data >> TAG_BITS;
    if (completion->res >= 0)
        keep_accepted(uring, listener, completion->res);
    if (completion->flags & IORING_CQE_F_MORE)
        return;
    uring->n_accepts--;
    if (sb_is_shortage(completion->res))
        uring->accept_error = completion->res;
    else if (uring->listens && completion->res != -ECANCELED)
        start_accepting(loop, listener);
}

static int take_accepted(struct sb_loop *loop, unsigned *ret_listener, int *ret_fd)
{
    struct uring *uring = loop->engine_state;
    int r = uring->accept_error;
    if (uring->next_accepted == uring->n_accepted) {
        uring->accept_error = 0;
        return r < 0 ? r : -EAGAIN;
    }
    *ret_listener = uring->accepted[uring->next_accepted].listener;
    *ret_fd = uring->accepted[uring->next_accepted++].fd;
    return 0;
}

static bool accepts(const struct sb_loop *loop)
{
    const struct uring *uring = loop->engine_state;
    return uring->n_accepts > 0 || uring->next_accepted < uring->n_accepted;
}

/* --- the turn ----------------------------------------------------------------------------------------------------- */

static void tell(struct sb_loop *loop, const struct io_uring_cqe *completion)
{
    void *pointer = (void *)(uintptr_t)(completion->user_data & ~(uint64_t)TAGS);
    switch (completion->user_data & TAGS) {
    case OPERATION:
        tell_operation(loop, pointer, completion->res);
        break;
    case RECEIVE:
        tell_received(loop, pointer, completion);
        break;
    case ACCEPT:
        tell_accepted(loop, completion);
        break;
    case GATE:
        if (completion->flags & IORING_CQE_F_MORE)
            ((struct uring *)loop->engine_state)->gate_ready = true;
        else
            watch_gate(loop);
    }
}

static int submit_and_wait(struct uring *uring, int timeout_ms)
{
    struct io_uring_cqe *completion;
    if (timeout_ms == 0)
        return io_uring_submit_and_get_events(&uring->ring);
    if (timeout_ms < 0)
        return io_uring_submit_and_wait(&uring->ring, 1);
    struct __kernel_timespec limit = { .tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000LL };
    return io_uring_submit_and_wait_timeout(&uring->ring, &completion, 1, &limit, NULL);
}

static int turn(struct sb_loop *loop, int timeout_ms)
{
    struct uring *uring = loop->engine_state;
    struct io_uring_cqe *completion;
    unsigned head, count = 0;
    int r = submit_and_wait(uring, uring->gate_ready ? 0 : timeout_ms);
    if (r < 0 && r != -ETIME && r != -EINTR && r != -EAGAIN && r != -EBUSY)
        return r;
    io_uring_for_each_cqe(&uring->ring, head, completion) {
        tell(loop, completion);
        count++;
    }
    io_uring_cq_advance(&uring->ring, count);
    if (uring->gate_ready)
        ask_gate(loop);
    return count;
}

/* --- begin and end ------------------------------------------------------------------------------------------------ */

static int init_ring(struct uring *uring)
{
    struct io_uring_params parameters = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
        .cq_entries = 4 * ENTRIES,
    };
    return io_uring_queue_init_params(ENTRIES, &uring->ring, &parameters);
}

static int provide_buffers(struct uring *uring)
{
    const int protection = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
    uring->buffers = mmap(NULL, (size_t)BUFFERS * BUFFER_SIZE, protection, flags, -1, 0);
    uring->provided = mmap(NULL, BUFFERS * sizeof(struct io_uring_buf), protection, flags, -1, 0);
    if (uring->buffers == MAP_FAILED || uring->provided == MAP_FAILED)
        return -ENOMEM;
    struct io_uring_buf_reg registration = { .ring_addr = (uintptr_t)uring->provided, .ring_entries = BUFFERS,
                                             .bgid = GROUP };
    int r = io_uring_register_buf_ring(&uring->ring, &registration, 0);
    io_uring_buf_ring_init(uring->provided);
    for (unsigned i = 0; r == 0 && i < BUFFERS; i++)
        give_back(uring, i);
    return r;
}

static void close_engine(struct sb_loop *loop)
{
    struct uring *uring = loop->engine_state;
    io_uring_queue_exit(&uring->ring);
    if (uring->buffers != MAP_FAILED)
        munmap(uring->buffers, (size_t)BUFFERS * BUFFER_SIZE);
    if (uring->provided != MAP_FAILED)
        munmap(uring->provided, BUFFERS * sizeof(struct io_uring_buf));
    free(uring->accepted);
    free(uring);
}

static int open_engine(struct sb_loop *loop)
{
    struct uring *uring = calloc(1, sizeof *uring);
    if (!uring)
        return -ENOMEM;
    uring->buffers = (char *)(uring->provided = MAP_FAILED);
    int r = init_ring(uring);
    if (r < 0) {
        free(uring);
        return r;
    }
    loop->engine_state = uring;
    r = provide_buffers(uring);
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

static const struct sb_io ring_io = { .recv = recv_by_ring, .send = send_by_ring };

const struct sb_engine sb_uring_engine = {
    .name = "uring",
    .try = try_engine,
    .open = open_engine,
    .close = close_engine,
    .turn = turn,
    .arm = arm,
    .disarm = disarm,
    .hold = hold,
    .io = &ring_io,
    .leave = leave,
    .listen = engine_listen,
    .accepted = take_accepted,
    .accepts = accepts,
};
