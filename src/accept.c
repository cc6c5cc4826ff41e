#include "accept.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "child.h"
#include "family/batch.h"
#include "family/family.h"
#include "worker.h"

#define PAUSE_MS 100

/* Small, so that connections wait in the listener's backlog and not behind a worker. */
#define CHANNEL_SIZE 4096

/* What an epoll event stands for: one of these, or a listener's index. */
enum { STOP = 0x10000, CHILDREN, RETIRE, NOTICE, CHANNEL, CUT, ROOM };

static const char *const discipline_names[] = { "shared", "mutex", "flock", "pass", "reuseport" };

int sb_discipline_parse(const char *name)
{
    for (int i = 0; i < 5; i++)
        if (strcmp(discipline_names[i], name) == 0)
            return i;
    return -EINVAL;
}

const char *sb_discipline_name(enum sb_discipline discipline)
{
    return discipline_names[discipline];
}

/* --- mutex and flock ---------------------------------------------------------------------------------------------- */

static pthread_mutex_t *accept_mutex(const struct sb_server *server)
{
    return (pthread_mutex_t *)server->board->accept_lock;
}

static int init_mutex(pthread_mutex_t *mutex)
{
    pthread_mutexattr_t attributes;
    int r = pthread_mutexattr_init(&attributes);
    if (r != 0)
        return -r;
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    r = pthread_mutex_init(mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return -r;
}

int sb_discipline_init(struct sb_server *server)
{
    if (server->config.accept == SB_ACCEPT_MUTEX)
        return init_mutex(accept_mutex(server));
    if (server->config.accept == SB_ACCEPT_FLOCK) {
        server->lock_fd = memfd_create("switchboard-accept-lock", MFD_CLOEXEC);
        return server->lock_fd < 0 ? -errno : 0;
    }
    return 0;
}

/* flock(2) belongs to an open file description: workers that share one would not exclude each other. */
static int reopen_lock(const struct sb_server *server)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", server->lock_fd);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static bool takes_turns(const struct sb_gate *gate, enum sb_discipline discipline)
{
    return gate->role == SB_GATE_WORKER && gate->server->config.accept == discipline &&
           (gate->server->traits & SB_LOOPS);
}

static void lock(struct sb_gate *gate)
{
    if (takes_turns(gate, SB_ACCEPT_MUTEX)) {
        if (pthread_mutex_lock(accept_mutex(gate->server)) == EOWNERDEAD)
            pthread_mutex_consistent(accept_mutex(gate->server));
    } else if (gate->lock_fd >= 0) {
        while (flock(gate->lock_fd, LOCK_EX) < 0 && errno == EINTR)
            ;
    }
}

static void unlock(struct sb_gate *gate)
{
    if (takes_turns(gate, SB_ACCEPT_MUTEX))
        pthread_mutex_unlock(accept_mutex(gate->server));
    else if (gate->lock_fd >= 0)
        flock(gate->lock_fd, LOCK_UN);
}

/* --- pass --------------------------------------------------------------------------------------------------------- */

struct passed {
    unsigned listener;
    struct sb_address client;
};

union control {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
};

int sb_channel_open(struct sb_server *server)
{
    const int size = CHANNEL_SIZE;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, server->channel) < 0)
        return -errno;
    setsockopt(server->channel[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    return 0;
}

void sb_channel_leave(struct sb_server *server)
{
    sb_fd_close(&server->channel[1]);
}

void sb_channel_end(struct sb_server *server)
{
    /* Whatever this program has forked meanwhile may hold a copy, so closing alone would not be seen. */
    if (server->channel[1] >= 0)
        shutdown(server->channel[1], SHUT_WR);
    sb_channel_leave(server);
}

void sb_channel_close(struct sb_server *server)
{
    sb_channel_end(server);
    sb_fd_close(&server->channel[0]);
}

static int send_passed(int channel, const struct passed *passed, int fd)
{
    union control control;
    struct iovec data = { .iov_base = (void *)passed, .iov_len = sizeof *passed };
    struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control,
                              .msg_controllen = sizeof control };
    memset(&control, 0, sizeof control);
    control.header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
                                       .cmsg_len = CMSG_LEN(sizeof fd) };
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    return sendmsg(channel, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

void sb_channel_send(struct sb_server *server, struct sb_request *request)
{
    struct passed passed = { .listener = request->listener->index, .client = request->client };
    if (send_passed(server->channel[1], &passed, request->fd) < 0) {
        sb_request_end(request);
        return;
    }
    methods(server)->close_request(request);
    sb_request_free(request);
}

static int receive_passed(struct sb_server *server, struct sb_request **ret_request)
{
    struct passed passed;
    union control control;
    struct iovec data = { .iov_base = &passed, .iov_len = sizeof passed };
    struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control,
                              .msg_controllen = sizeof control };
    ssize_t n = recvmsg(server->channel[0], &message, MSG_CMSG_CLOEXEC);
    if (n < 0)
        return errno == EINTR ? -EAGAIN : -errno;
    if (n == 0)
        return -ECANCELED;
    if (message.msg_controllen < CMSG_LEN(sizeof(int)))
        return -EMFILE;
    int fd;
    memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
    struct sb_request *request = sb_request_new(server->listeners[passed.listener], fd, 0);
    if (!request) {
        close(fd);
        return -ENOMEM;
    }
    request->client = passed.client;
    *ret_request = request;
    return 0;
}

/* --- the gate ----------------------------------------------------------------------------------------------------- */

static int watch(struct sb_gate *gate, int fd, uint32_t events, uint32_t meaning)
{
    struct epoll_event event = { .events = events, .data.u32 = meaning };
    if (fd < 0)
        return 0;
    return epoll_ctl(gate->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static bool reads_channel(const struct sb_gate *gate)
{
    return gate->role == SB_GATE_WORKER && gate->server->channel[0] >= 0;
}

static bool takes_requests(const struct sb_gate *gate)
{
    return gate->role == SB_GATE_WORKER || gate->server->channel[1] >= 0;
}

int sb_listener_fileno(const struct sb_listener *listener)
{
    return listener->fds ? listener->fds[sb_worker.index] : listener->fd;
}

static int watch_sources(struct sb_gate *gate)
{
    struct sb_server *server = gate->server;
    int r = 0;
    /* One waiter is woken for each request, not all of them. But who has the lock is the only one that listens, and the
     * kernel might choose one that waits for the lock, or is being killed. */
    bool alone = takes_turns(gate, SB_ACCEPT_MUTEX) || takes_turns(gate, SB_ACCEPT_FLOCK);
    const uint32_t events = alone ? EPOLLIN : EPOLLIN | EPOLLEXCLUSIVE;
    if (reads_channel(gate)) {
        gate->sources = 1;
        return watch(gate, server->channel[0], events, CHANNEL);
    }
    gate->sources = 0;
    for (unsigned i = 0; r == 0 && takes_requests(gate) && i < server->n_listeners; i++, gate->sources++)
        if (!gate->leaves_streams || server->listeners[i]->address.socktype != SOCK_STREAM)
            r = watch(gate, sb_listener_fileno(server->listeners[i]), events, i);
    return r;
}

int sb_gate_open(struct sb_gate *gate, struct sb_server *server, enum sb_gate_role role)
{
    *gate = (struct sb_gate){ .server = server, .role = role, .lock_fd = -1 };
    gate->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int r = gate->epoll_fd < 0 ? -errno : 0;
    if (r == 0 && role == SB_GATE_WORKER && server->forks_requests)
        r = sb_children_open(server);
    if (r == 0 && takes_turns(gate, SB_ACCEPT_FLOCK))
        r = gate->lock_fd = reopen_lock(server);
    if (r >= 0 && !reads_channel(gate))
        r = watch(gate, server->stop.fd, EPOLLIN, STOP);
    if (r >= 0)
        r = watch(gate, server->retire.fd, EPOLLIN, RETIRE);
    if (r >= 0 && role == SB_GATE_SUPERVISOR)
        r = watch(gate, server->notice.fd, EPOLLIN, NOTICE);
    if (r >= 0)
        r = watch(gate, server->children_fd, EPOLLIN, CHILDREN);
    if (r >= 0)
        r = watch_sources(gate);
    if (r < 0)
        sb_gate_close(gate);
    return r < 0 ? r : 0;
}

static void release_place(struct sb_gate *gate)
{
    if (!gate->reserved)
        return;
    gate->reserved = false;
    sb_server_release_place(gate->server);
}

void sb_gate_close(struct sb_gate *gate)
{
    release_place(gate);
    if (gate->lock_fd >= 0)
        close(gate->lock_fd);
    if (gate->epoll_fd >= 0)
        close(gate->epoll_fd);
}

/* Waits for a place, a stop or a child, without looking at the listeners. 1: look again. */
static int wait_for_room(struct sb_gate *gate, int timeout_ms)
{
    struct sb_server *server = gate->server;
    struct pollfd fds[] = { { .fd = server->room.fd, .events = POLLIN },
                            { .fd = reads_channel(gate) ? -1 : server->stop.fd, .events = POLLIN },
                            { .fd = server->retire.fd, .events = POLLIN },
                            { .fd = server->children_fd, .events = POLLIN } };
    int r = 1;
    atomic_fetch_add(&server->waiting_for_room, 1);
    if (atomic_load(&server->inflight) >= server->limit)
        r = poll(fds, 4, timeout_ms);
    atomic_fetch_sub(&server->waiting_for_room, 1);
    if (fds[0].revents)
        sb_wakeup_clear(&server->room);
    if (fds[1].revents || fds[2].revents)
        return -ECANCELED;
    if (fds[3].revents)
        server->children_ended = true;
    return r == 0 || fds[3].revents ? 0 : 1;
}

/* Until the channel has room for one more; with every worker busy the others stay in the backlog. */
static int wait_for_channel(struct sb_gate *gate, int64_t deadline_ns)
{
    struct sb_server *server = gate->server;
    struct pollfd fds[] = { { .fd = server->channel[1], .events = POLLOUT },
                            { .fd = server->stop.fd, .events = POLLIN },
                            { .fd = server->children_fd, .events = POLLIN },
                            { .fd = server->notice.fd, .events = POLLIN } };
    if (server->channel[1] < 0)
        return 1;
    poll(fds, 4, sb_remaining_ms(deadline_ns));
    if (fds[1].revents)
        return -ECANCELED;
    return fds[2].revents || fds[3].revents || !fds[0].revents ? 0 : 1;
}

static bool reserve_now(struct sb_gate *gate)
{
    struct sb_server *server = gate->server;
    if (!gate->reserved && !(gate->reserved = atomic_fetch_add(&server->inflight, 1) < server->limit))
        atomic_fetch_sub(&server->inflight, 1);
    return gate->reserved;
}

static int reserve_place(struct sb_gate *gate, int64_t deadline_ns)
{
    int r = 1;
    while (r > 0 && !reserve_now(gate))
        r = wait_for_room(gate, sb_remaining_ms(deadline_ns));
    return r;
}

/* Takes one request from the source that an event names. */
static int take(struct sb_gate *gate, uint32_t source, struct sb_request **ret_request)
{
    struct sb_server *server = gate->server;
    int r;
    if (source == CHANNEL)
        r = receive_passed(server, ret_request);
    else
        r = methods(server)->get_request(server->listeners[source], ret_request);
    gate->hot = r == 0 && gate->sources == 1 && !(server->traits & SB_DISPATCHES);
    if (r == 0 && gate->role == SB_GATE_SUPERVISOR)
        atomic_fetch_add(&server->inflight, 1);
    gate->reserved &= r != 0;       /* the request has the place now */
    return r == 0 ? 1 : r;
}

static int wait_for_events(struct sb_gate *gate, int64_t deadline_ns)
{
    const int room = sizeof gate->events / sizeof *gate->events;
    gate->next_event = 0;
    gate->n_events = epoll_wait(gate->epoll_fd, gate->events, room, sb_remaining_ms(deadline_ns));
    if (gate->n_events < 0) {
        gate->n_events = 0;
        return errno == EINTR ? -EAGAIN : -errno;
    }
    for (int i = 0; i < gate->n_events; i++)
        if (gate->events[i].data.u32 == STOP || gate->events[i].data.u32 == RETIRE)
            return -ECANCELED;
    return gate->n_events;
}

/* -EAGAIN: nothing yet, wait again. */
static int take_next(struct sb_gate *gate, int64_t deadline_ns, struct sb_request **ret_request)
{
    if (gate->hot) {
        int r = take(gate, reads_channel(gate) ? CHANNEL : 0, ret_request);
        if (r != -EAGAIN)
            return r;
    }
    if (gate->next_event == gate->n_events) {
        int waiting = sb_batches_waiting(gate->server);
        if (waiting >= 0)
            return take(gate, waiting, ret_request);
        sb_batches_flush(gate->server);
        int r = wait_for_events(gate, deadline_ns);
        if (r <= 0)
            return r;
    }
    uint32_t source = gate->events[gate->next_event++].data.u32;
    if (source == CHILDREN)
        gate->server->children_ended = true;
    return source == CHILDREN || source == NOTICE ? 0 : take(gate, source, ret_request);
}

bool sb_is_shortage(int error)
{
    return error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM;
}

void sb_shortage_begins(struct sb_server *server, const char *what, int error)
{
    if (!atomic_exchange(&server->shortage, true))
        sb_server_log(server, SB_LOG_ERROR, "%s: %s; trying again until it can (limits: ulimit -n, ulimit -u)", what,
                      strerror(-error));
}

void sb_shortage_ends(struct sb_server *server)
{
    if (atomic_load_explicit(&server->shortage, memory_order_relaxed) && atomic_exchange(&server->shortage, false))
        sb_server_log(server, SB_LOG_INFO, "the shortage is over, accepting again");
}

void sb_gate_pause(struct sb_gate *gate)
{
    struct pollfd fds[] = { { .fd = gate->server->stop.fd, .events = POLLIN },
                            { .fd = gate->server->children_fd, .events = POLLIN } };
    poll(fds, 2, PAUSE_MS);
}

/* What a batch has taken already is served. */
static bool must_end(const struct sb_gate *gate)
{
    const struct sb_server *server = gate->server;
    if (sb_batches_waiting(server) >= 0)
        return false;
    return (!reads_channel(gate) && sb_server_stopping(server)) || sb_server_retiring(server);
}

int sb_gate_next(struct sb_gate *gate, int timeout_ms, struct sb_request **ret_request)
{
    int64_t deadline_ns = sb_deadline_ns(timeout_ms);
    /* Who passes requests on needs no place for them: the channel is the bound. */
    int r = gate->role == SB_GATE_WORKER ? reserve_place(gate, deadline_ns) : wait_for_channel(gate, deadline_ns);
    if (r <= 0)
        return r;
    lock(gate);
    do
        r = must_end(gate) ? -ECANCELED : take_next(gate, deadline_ns, ret_request);
    while (r == -EAGAIN);
    unlock(gate);
    if (sb_is_shortage(r)) {
        sb_shortage_begins(gate->server, "cannot accept", r);
        sb_gate_pause(gate);
        return 0;
    }
    return r;
}

/* --- for a loop that waits by other means ------------------------------------------------------------------------- */

int sb_gate_prepare(struct sb_gate *gate)
{
    return watch(gate, gate->server->cut.fd, EPOLLIN, CUT);
}

static bool is_told(const struct sb_gate *gate, uint32_t source)
{
    for (int i = gate->next_event; i < gate->n_events; i++)
        if (gate->events[i].data.u32 == source)
            return true;
    return false;
}

/* A source that always has more must not keep the others waiting. */
static void put_behind(struct sb_gate *gate)
{
    struct epoll_event first = gate->events[gate->next_event];
    int others = gate->n_events - gate->next_event - 1;
    memmove(gate->events + gate->next_event, gate->events + gate->next_event + 1, others * sizeof first);
    gate->events[gate->n_events - 1] = first;
}

void sb_gate_tell(struct sb_gate *gate, const struct epoll_event *event)
{
    if (event->data.u32 == CUT)
        gate->cut = true;
    else if (event->data.u32 == ROOM)
        sb_wakeup_clear(&gate->server->room);
    else if (!is_told(gate, event->data.u32) && gate->n_events < (int)(sizeof gate->events / sizeof *gate->events))
        gate->events[gate->n_events++] = *event;
}

bool sb_gate_pending(const struct sb_gate *gate)
{
    return !gate->muted && (gate->next_event < gate->n_events || sb_batches_waiting(gate->server) >= 0);
}

int sb_gate_poll(struct sb_gate *gate, struct sb_request **ret_request)
{
    while (sb_gate_pending(gate) && !must_end(gate)) {
        bool told = gate->next_event < gate->n_events;
        uint32_t source = told ? gate->events[gate->next_event].data.u32 : (unsigned)sb_batches_waiting(gate->server);
        int r = -EAGAIN;
        if (source == CHANNEL || source < STOP)
            r = reserve_now(gate) ? take(gate, source, ret_request) : -EBUSY;
        if (sb_is_shortage(r))
            sb_shortage_begins(gate->server, "cannot accept", r);
        if (r == 1 && told)
            put_behind(gate);
        if (r != -EAGAIN)
            return r;
        gate->next_event += told;
    }
    gate->next_event = gate->n_events = 0;
    return must_end(gate) ? -ECANCELED : 0;
}

static void unwatch(const struct sb_gate *gate, int fd)
{
    if (fd >= 0)
        epoll_ctl(gate->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

/* While it looks away it waits for a place, as others may that share the server's. */
void sb_gate_mute(struct sb_gate *gate, bool mute)
{
    struct sb_server *server = gate->server;
    if (gate->muted == mute)
        return;
    gate->muted = mute;
    gate->next_event = gate->n_events = 0;
    if (!mute) {
        atomic_fetch_sub(&server->waiting_for_room, 1);
        unwatch(gate, server->room.fd);
        watch_sources(gate);
        return;
    }
    for (unsigned i = 0; i < server->n_listeners; i++)
        unwatch(gate, sb_listener_fileno(server->listeners[i]));
    if (reads_channel(gate))
        unwatch(gate, server->channel[0]);
    watch(gate, server->room.fd, EPOLLIN, ROOM);
    atomic_fetch_add(&server->waiting_for_room, 1);
}

bool sb_gate_has_room(struct sb_gate *gate)
{
    return reserve_now(gate);
}

void sb_gate_end(struct sb_gate *gate)
{
    sb_gate_mute(gate, true);
    unwatch(gate, gate->server->room.fd);
    unwatch(gate, gate->server->stop.fd);
    unwatch(gate, gate->server->retire.fd);
    release_place(gate);
    atomic_fetch_sub(&gate->server->waiting_for_room, 1);
}

bool sb_gate_leave_streams(struct sb_gate *gate)
{
    const struct sb_server *server = gate->server;
    if (server->loops > 1 || reads_channel(gate) || methods(server)->get_request != sb_base_class.get_request)
        return false;
    for (unsigned i = 0; i < server->n_listeners; i++)
        if (server->listeners[i]->address.socktype == SOCK_STREAM) {
            if (server->listeners[i]->family.get_request != sb_tcp_class.get_request)
                return false;
            unwatch(gate, server->listeners[i]->fd);
        }
    gate->leaves_streams = true;
    return true;
}

int sb_gate_admit(struct sb_gate *gate, unsigned listener, int fd, struct sb_request **ret_request)
{
    if (!reserve_now(gate))
        return -EBUSY;
    int r = sb_tcp_admit(gate->server->listeners[listener], fd, NULL, ret_request);
    gate->reserved &= r != 0;
    return r;
}
