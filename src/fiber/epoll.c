/* The epoll engine: the gate's own epoll instance, in which each connection is registered once, edge-triggered. What
 * arrives while nobody waits is kept as a flag, so waiting costs no system call of its own. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "gate_poll.h"
#include "task.h"

#define EVENTS 64

/* Everything that is not a pointer is the gate's. */
#define GATE_EVENTS_MAX 0xfffff

static short from_epoll(uint32_t events)
{
    return (events & EPOLLIN ? POLLIN : 0) | (events & EPOLLOUT ? POLLOUT : 0) | (events & EPOLLPRI ? POLLPRI : 0) |
           (events & EPOLLRDHUP ? POLLRDHUP | POLLIN : 0) | (events & EPOLLHUP ? POLLHUP | POLLIN | POLLOUT : 0) |
           (events & EPOLLERR ? POLLERR | POLLIN | POLLOUT : 0);
}

static int control(const struct sb_loop *loop, int operation, int fd, uint32_t events, struct sb_watch *watch)
{
    struct epoll_event event = { .events = events, .data.ptr = watch };
    return epoll_ctl(loop->gate->epoll_fd, operation, fd, &event) < 0 ? -errno : 0;
}

/* The request's own connection: registered at its first wait, and forgotten by close(2). */
static int arm_connection(struct sb_loop *loop, struct sb_caller *caller, short events)
{
    uint32_t wanted = EPOLLIN | EPOLLRDHUP | EPOLLET | (events & POLLOUT ? EPOLLOUT : 0);
    uint32_t registered = caller->epoll.registered;
    struct sb_watch *watch = &caller->watch;
    if (wanted & ~registered) {
        int operation = registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
        int r = control(loop, operation, caller->request->fd, registered | wanted, watch);
        caller->epoll.registered |= r == 0 ? wanted : 0;
        return r;
    }
    short ready = watch->ready & (events | POLLHUP | POLLERR);
    sb_watch_forget(watch, events);
    return ready;
}

/* Any other descriptor: for this wait only. Another fiber may wait for the same one, and epoll takes it once; a
 * duplicate counts as another. */
static int arm_other(struct sb_loop *loop, struct sb_task *task, int fd, short events)
{
    uint32_t wanted = (events & POLLIN ? EPOLLIN : 0) | (events & POLLOUT ? EPOLLOUT : 0) |
                      (events & POLLPRI ? EPOLLPRI : 0) | (events & POLLRDHUP ? EPOLLRDHUP : 0) | EPOLLONESHOT;
    task->other = (struct sb_watch){ .task = NULL };
    task->other_is_copy = false;
    int r = control(loop, EPOLL_CTL_ADD, fd, wanted, &task->other);
    if (r == -EEXIST && (fd = fcntl(fd, F_DUPFD_CLOEXEC, 0)) >= 0) {
        task->other_is_copy = true;
        r = control(loop, EPOLL_CTL_ADD, fd, wanted, &task->other);
    }
    if (r == -EPERM)    /* a file: always ready, as for poll(2) */
        return events & (POLLIN | POLLOUT);
    if (r < 0 && task->other_is_copy)
        close(fd);
    task->other_fd = r < 0 ? -1 : fd;
    return r;
}

static int arm(struct sb_loop *loop, struct sb_task *task, int fd, short events)
{
    struct sb_caller *caller = task->caller;
    bool own = fd == caller->request->fd && !caller->request->datagram;
    int r = own ? arm_connection(loop, caller, events) : arm_other(loop, task, fd, events);
    if (r != 0)
        return r;
    task->awaited = own ? &caller->watch : &task->other;
    task->awaited->task = task;
    task->awaited->awaited = events;
    return 0;
}

static void disarm(struct sb_loop *loop, struct sb_task *task)
{
    task->awaited->task = NULL;
    sb_watch_forget(task->awaited, task->awaited->awaited);
    if (task->other_fd < 0)
        return;
    epoll_ctl(loop->gate->epoll_fd, EPOLL_CTL_DEL, task->other_fd, NULL);
    if (task->other_is_copy)
        close(task->other_fd);
    task->other_fd = -1;
}

static int hold(struct sb_loop *loop, struct sb_caller *caller)
{
    return arm_connection(loop, caller, POLLIN);
}

/* A child of a handler's may have copies of the sockets, and then close(2) alone does not end their events. */
static atomic_bool has_forked;

static void note_fork(void)
{
    atomic_store(&has_forked, true);
}

static void watch_forks(void)
{
    pthread_atfork(note_fork, NULL, NULL);
}

static void forget(struct sb_loop *loop, struct sb_caller *caller)
{
    if (caller->epoll.registered && atomic_load_explicit(&has_forked, memory_order_relaxed))
        epoll_ctl(loop->gate->epoll_fd, EPOLL_CTL_DEL, caller->request->fd, NULL);
    caller->epoll.registered = 0;
}

static int turn(struct sb_loop *loop, int timeout_ms)
{
    struct epoll_event events[EVENTS];
    int n = epoll_pwait(loop->gate->epoll_fd, events, EVENTS, timeout_ms, &loop->gate->mask);
    if (n < 0)
        return -errno;
    for (int i = 0; i < n; i++) {
        if (events[i].data.u64 <= GATE_EVENTS_MAX)
            sb_gate_tell(loop->gate, &events[i]);
        else
            sb_watch_tell(loop, events[i].data.ptr, from_epoll(events[i].events));
    }
    return n;
}

static int open_engine(struct sb_loop *loop)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)loop;
    return -pthread_once(&once, watch_forks);
}

static void close_engine(struct sb_loop *loop)
{
    (void)loop;
}

const struct sb_engine sb_epoll_engine = {
    .name = "epoll",
    .open = open_engine,
    .close = close_engine,
    .turn = turn,
    .arm = arm,
    .disarm = disarm,
    .hold = hold,
    .forget = forget,
};
