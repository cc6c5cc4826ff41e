#include "gate.h"

#include <errno.h>
#include <poll.h>
#include <sys/param.h>
#include <unistd.h>

#include "channel.h"
#include "child.h"
#include "drain.h"
#include "family/batch.h"
#include "ground/clock.h"
#include "ground/descriptor.h"
#include "listener.h"

/* What fails for so long will not work again; failures further apart are not one. */
#define GIVE_UP_NS (5 * INT64_C(1000000000))
#define CONTINUED_NS INT64_C(1000000000)

/* --- open and close ----------------------------------------------------------------------------------------------- */

int sb_gate_watch(struct sb_gate *gate, int fd, uint32_t events, uint32_t source)
{
    struct epoll_event event = { .events = events, .data.u64 = source };    /* loops look at all 64 bits */
    if (fd < 0)
        return 0;
    return epoll_ctl(gate->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

bool sb_gate_reads_channel(const struct sb_gate *gate)
{
    return gate->role == SB_GATE_WORKER && gate->server->channel;
}

static bool passes_on(const struct sb_gate *gate)
{
    return gate->role == SB_GATE_SUPERVISOR && gate->server->channel && gate->server->channel->out >= 0;
}

static bool takes_turns(const struct sb_gate *gate)
{
    return gate->role == SB_GATE_WORKER && sb_turn_is_taken(&gate->server->turn);
}

int sb_gate_watch_sources(struct sb_gate *gate)
{
    struct sb_server *server = gate->server;
    int r = 0;
    /* One waiter is woken for each request, not all of them. But who has the lock is the only one that listens, and the
     * kernel might choose one that waits for the lock, or is being killed. */
    const uint32_t events = takes_turns(gate) ? EPOLLIN : EPOLLIN | EPOLLEXCLUSIVE;
    gate->sources = 0;
    if (sb_gate_reads_channel(gate)) {
        gate->sources = 1;
        return sb_gate_watch(gate, server->channel->in, events, SB_SOURCE_CHANNEL);
    }
    if (gate->role == SB_GATE_SUPERVISOR && !passes_on(gate))
        return 0;
    for (unsigned i = 0; r == 0 && i < server->n_listeners; i++) {
        int fd = sb_listener_fileno(server->listeners[i]);
        gate->sources += fd >= 0;
        if (!gate->leaves_streams || server->listeners[i]->address.socktype != SOCK_STREAM)
            r = sb_gate_watch(gate, fd, events, i);
    }
    return r;
}

/* For others to see, on the scoreboard: whether it takes requests, or passes them on. */
static void show_accepting(struct sb_gate *gate, bool accepts)
{
    struct sb_scoreboard *board = gate->server->crew.board;
    if (gate->accepts == accepts)
        return;
    gate->accepts = accepts;
    if (passes_on(gate))
        __atomic_fetch_add(&board->accepting, accepts ? 1 : -1, __ATOMIC_RELEASE);
    else if (gate->role == SB_GATE_WORKER && !sb_gate_reads_channel(gate))
        __atomic_store_n(&gate->slot->accepts, accepts, __ATOMIC_RELEASE);
}

static int watch_all(struct sb_gate *gate)
{
    const struct sb_signals *signals = &gate->server->signals;
    int r = 0;
    if (!sb_gate_reads_channel(gate))
        r = sb_gate_watch(gate, signals->stop.fd, EPOLLIN, SB_SOURCE_STOP);
    if (r == 0)
        r = sb_gate_watch(gate, signals->retire.fd, EPOLLIN, SB_SOURCE_RETIRE);
    if (r == 0 && gate->role == SB_GATE_SUPERVISOR)
        r = sb_gate_watch(gate, signals->notice.fd, EPOLLIN, SB_SOURCE_NOTICE);
    if (r == 0)
        r = sb_gate_watch(gate, gate->server->reaper->fd, EPOLLIN, SB_SOURCE_CHILDREN);
    return r < 0 ? r : sb_gate_watch_sources(gate);
}

int sb_gate_open(struct sb_gate *gate, struct sb_server *server, enum sb_gate_role role)
{
    *gate = (struct sb_gate){ .server = server, .role = role, .lock_fd = -1, .slot = sb_slot_current() };
    gate->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int r = gate->epoll_fd < 0 ? -errno : 0;
    pthread_sigmask(SIG_SETMASK, NULL, &gate->mask);
    if (r == 0 && !(gate->book = sb_book_open(&server->books)))
        r = -ENOMEM;
    if (r == 0 && role == SB_GATE_WORKER && server->forks_requests)
        r = sb_children_open(server);
    if (r == 0 && takes_turns(gate))
        r = sb_turn_join(&server->turn, &gate->lock_fd);
    if (r == 0)
        r = watch_all(gate);
    if (r < 0)
        sb_gate_close(gate);
    else
        show_accepting(gate, true);
    return r;
}

void sb_gate_close(struct sb_gate *gate)
{
    show_accepting(gate, false);
    if (gate->book)
        sb_book_close(gate->book);
    sb_fd_close(&gate->lock_fd);
    sb_fd_close(&gate->epoll_fd);
}

/* --- pauses ------------------------------------------------------------------------------------------------------- */

/* What a wait of this gate's looks at for a stop: one that is closing has seen it. */
static int stop_fd(const struct sb_gate *gate)
{
    return gate->closing || sb_gate_reads_channel(gate) ? -1 : gate->server->signals.stop.fd;
}

static void pause_for(struct sb_gate *gate, int milliseconds)
{
    struct pollfd fds[] = { { .fd = stop_fd(gate), .events = POLLIN },
                            { .fd = gate->server->reaper->fd, .events = POLLIN } };
    if (poll(fds, 2, milliseconds) < 0)
        sb_nap(milliseconds);
    else if (fds[1].revents)
        gate->server->reaper->ended = true;
}

void sb_gate_pause(struct sb_gate *gate)
{
    pause_for(gate, SB_SHORTAGE_PAUSE_MS);
}

int sb_gate_fails(struct sb_gate *gate, const char *what, int error)
{
    struct sb_server *server = gate->server;
    int64_t now_ns = sb_now_ns();
    sb_shortage_begins(&server->shortage, &server->log, what, error);
    if (sb_is_shortage(error))
        return 0;
    if (gate->failed_ns + CONTINUED_NS < now_ns)
        gate->failing_ns = now_ns;
    gate->failed_ns = now_ns;
    return now_ns - gate->failing_ns > GIVE_UP_NS ? error : 0;
}

/* Other loops may have been faster now and then, and who called may have left. */
void sb_gate_tire(struct sb_gate *gate)
{
    if (sb_tires(&gate->fruitless))
        pause_for(gate, SB_TIRED_MS);
}

/* --- a place ------------------------------------------------------------------------------------------------------ */

/* How long such a wait may take: one that is closing has until the end of the drain. */
static int patience_ms(const struct sb_gate *gate, int64_t deadline_ns)
{
    if (gate->closing)
        deadline_ns = MIN(deadline_ns, sb_drain_deadline_ns(gate->server));
    return sb_remaining_ms(deadline_ns);
}

/* Waits for a place, a stop or a child, without looking at the listeners. 1: look again. */
static int wait_for_room(struct sb_gate *gate, int64_t deadline_ns)
{
    struct sb_server *server = gate->server;
    struct sb_places *places = &server->books.places;
    struct pollfd fds[] = { { .fd = places->room.fd, .events = POLLIN },
                            { .fd = stop_fd(gate), .events = POLLIN },
                            { .fd = server->signals.retire.fd, .events = POLLIN },
                            { .fd = server->reaper->fd, .events = POLLIN } };
    int r = 1;
    atomic_fetch_add(&places->waiting, 1);
    if (!sb_share_reserve(&gate->book->share))
        r = poll(fds, 4, patience_ms(gate, MIN(deadline_ns, sb_deadline_ns(SB_ROOM_LOOK_MS))));
    atomic_fetch_sub(&places->waiting, 1);
    if (r < 0 || (fds[0].revents && !sb_wakeup_clear(&places->room)))
        sb_gate_tire(gate);
    if (fds[1].revents)
        sb_signals_recheck(&server->signals);
    if (fds[3].revents)
        server->reaper->ended = true;
    return fds[3].revents || (r == 0 && sb_remaining_ms(deadline_ns) == 0) ? 0 : 1;
}

static int reserve_place(struct sb_gate *gate, int64_t deadline_ns)
{
    int r = 1;
    while (r > 0 && !sb_share_reserve(&gate->book->share))
        r = sb_gate_must_end(gate) ? -ECANCELED : wait_for_room(gate, deadline_ns);
    return r;
}

/* Until the channel has room for one more; with every worker busy the others stay in the backlog. */
static int wait_for_channel(struct sb_gate *gate, int64_t deadline_ns)
{
    struct sb_server *server = gate->server;
    if (!passes_on(gate))
        return 1;
    if (sb_gate_must_end(gate))
        return -ECANCELED;
    struct pollfd fds[] = { { .fd = server->channel->out, .events = POLLOUT },
                            { .fd = stop_fd(gate), .events = POLLIN },
                            { .fd = server->reaper->fd, .events = POLLIN },
                            { .fd = server->signals.notice.fd, .events = POLLIN } };
    if (poll(fds, 4, patience_ms(gate, deadline_ns)) < 0)
        sb_gate_tire(gate);
    if (fds[1].revents)
        sb_signals_recheck(&server->signals);
    return fds[0].revents && !fds[1].revents && !fds[2].revents && !fds[3].revents;
}

/* --- the next request --------------------------------------------------------------------------------------------- */

int sb_gate_take(struct sb_gate *gate, uint32_t source, struct sb_request **ret_request)
{
    struct sb_server *server = gate->server;
    struct sb_request *request;
    if (source < SB_SOURCE_STOP && sb_listener_fileno(server->listeners[source]) < 0)
        return -EAGAIN;         /* under reuseport not every loop has a socket at each address */
    int r = source == SB_SOURCE_CHANNEL ? sb_channel_receive(server, &request)
                                        : methods(server)->get_request(server->listeners[source], &request);
    gate->hot = r == 0 && gate->sources == 1 && !(server->traits & SB_DISPATCHES);
    if (r < 0)
        return r;
    if (gate->role == SB_GATE_SUPERVISOR)
        sb_entry_overdraw(&request->entry);
    else
        sb_entry_settle(&request->entry);
    *ret_request = request;
    return 1;
}

/* An end is must_end's business: then nothing else of what was told counts. */
static bool tells_end(const struct sb_gate *gate)
{
    for (int i = 0; i < gate->n_events; i++)
        if (gate->events[i].data.u32 == SB_SOURCE_STOP || gate->events[i].data.u32 == SB_SOURCE_RETIRE)
            return true;
    return false;
}

/* How many sources have something; -EAGAIN: look again whether it is the end. */
static int wait_for_events(struct sb_gate *gate, int64_t deadline_ns)
{
    const int room = sizeof gate->events / sizeof *gate->events;
    gate->next_event = 0;
    int n = epoll_pwait(gate->epoll_fd, gate->events, room, sb_remaining_ms(deadline_ns), &gate->mask);
    int error = errno;
    gate->n_events = n > 0 ? n : 0;
    if (n < 0)
        return error == EINTR ? -EAGAIN : -error;
    if (tells_end(gate)) {
        gate->owes |= sb_gate_is_told_of_callers(gate);
        gate->n_events = 0;
        sb_signals_recheck(&gate->server->signals);
        return -EAGAIN;
    }
    return n;
}

/* -EAGAIN: nothing yet, wait again. */
static int take_next(struct sb_gate *gate, int64_t deadline_ns, struct sb_request **ret_request)
{
    if (gate->hot) {
        int r = sb_gate_take(gate, sb_gate_reads_channel(gate) ? SB_SOURCE_CHANNEL : 0, ret_request);
        if (r != -EAGAIN)
            return r;
    }
    if (gate->next_event == gate->n_events) {
        int waiting = sb_batches_waiting(gate->server);
        if (waiting >= 0)
            return sb_gate_take(gate, waiting, ret_request);
        sb_batches_flush(gate->server);
        int r = wait_for_events(gate, deadline_ns);
        if (r <= 0)
            return r;
    }
    uint32_t source = gate->events[gate->next_event++].data.u32;
    if (source == SB_SOURCE_CHILDREN)
        gate->server->reaper->ended = true;
    return source == SB_SOURCE_CHILDREN || source == SB_SOURCE_NOTICE ? 0 : sb_gate_take(gate, source, ret_request);
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

/* Who waits at the listeners; at each where only a look can tell, `unknown`. */
static int count_waiting(const struct sb_gate *gate, int unknown)
{
    const struct sb_server *server = gate->server;
    int count = 0;
    for (unsigned i = 0; i < server->n_listeners; i++) {
        int waiting = sb_listener_count_waiting(server->listeners[i]);
        count += waiting < 0 ? unknown : waiting;
    }
    return count;
}

bool sb_gate_is_told_of_callers(const struct sb_gate *gate)
{
    for (int i = gate->next_event; i < gate->n_events; i++)
        if (gate->events[i].data.u32 < SB_SOURCE_STOP)
            return true;
    return false;
}

/* Whom a successor serves need not be taken here, but of whom the kernel has told us it may have told nobody else. That
 * is one caller, or few, where it did not see yet that we were awake. */
static int count_owed(const struct sb_gate *gate)
{
    bool handles = gate->role == SB_GATE_WORKER && !(gate->server->traits & SB_DISPATCHES);
    if (!gate->owes && !sb_gate_is_told_of_callers(gate))
        return 0;
    return handles ? 1 : MIN(count_waiting(gate, SB_OWED_MAX), SB_OWED_MAX);
}

static int count_last_calls(const struct sb_gate *gate)
{
    const struct sb_server *server = gate->server;
    if (gate->role != SB_GATE_WORKER && !passes_on(gate))
        return 0;
    return sb_signals_patient(&server->signals) ? count_owed(gate)
                                                : count_waiting(gate, server->config.request_queue_size);
}

/* The first look after a stop. Who comes later may find the door closed. */
static void begin_closing(struct sb_gate *gate)
{
    gate->closing = true;
    gate->last_calls = count_last_calls(gate);
    gate->n_events = gate->next_event = 0;
    epoll_ctl(gate->epoll_fd, EPOLL_CTL_DEL, gate->server->signals.stop.fd, NULL);
}

/* A successor may have taken them. */
static bool somebody_waits(const struct sb_gate *gate)
{
    const struct sb_server *server = gate->server;
    for (unsigned i = 0; i < server->n_listeners; i++) {
        struct pollfd callers = { .fd = sb_listener_fileno(server->listeners[i]), .events = POLLIN };
        if (poll(&callers, 1, 0) != 0)
            return true;
    }
    return false;
}

int sb_gate_take_waiting(struct sb_gate *gate, struct sb_request **ret_request)
{
    unsigned count = gate->server->n_listeners;
    while (gate->last_calls > 0) {
        int r = -EAGAIN;
        gate->last_calls--;
        for (unsigned i = 0; r == -EAGAIN && i < count; i++)
            r = sb_gate_take(gate, (gate->last_calls + i) % count, ret_request);
        if (r != -EAGAIN)
            return r;
        /* Nobody was there; or somebody was who had left already, and others may be behind. */
        gate->last_calls = MIN(gate->last_calls, count_waiting(gate, 0));
    }
    return -ECANCELED;
}

static bool must_end(struct sb_gate *gate)
{
    struct sb_server *server = gate->server;
    if (sb_batches_waiting(server) >= 0)
        return false;
    if (sb_signals_retiring(&server->signals))
        return true;
    if (!sb_signals_stopping(&server->signals) || sb_gate_reads_channel(gate))
        return false;
    if (!gate->closing)
        begin_closing(gate);
    if (gate->last_calls > 0 && sb_signals_patient(&server->signals) && !somebody_waits(gate))
        return true;
    return gate->last_calls == 0 || sb_drain_deadline_ns(server) <= sb_now_ns();
}

bool sb_gate_must_end(struct sb_gate *gate)
{
    bool ends = must_end(gate);
    if (ends && !gate->leaves_streams)
        show_accepting(gate, false);
    return ends;
}

void sb_gate_show_end(struct sb_gate *gate)
{
    show_accepting(gate, false);
}

/* --- all together ------------------------------------------------------------------------------------------------- */

static void take_turn(struct sb_gate *gate)
{
    sb_turn_take(&gate->server->turn, gate->lock_fd);
    sb_slot_show_turn(&gate->server->crew, gate->slot);
}

static void leave_turn(struct sb_gate *gate)
{
    sb_slot_show_turn(&gate->server->crew, NULL);
    sb_turn_leave(&gate->server->turn, gate->lock_fd);
}

/* With the turn, where turns are taken. -EAGAIN: nothing yet, look again. */
static int look(struct sb_gate *gate, int64_t deadline_ns, struct sb_request **ret_request)
{
    if (sb_gate_must_end(gate))
        return -ECANCELED;
    if (gate->closing && sb_batches_waiting(gate->server) < 0)
        return sb_gate_take_waiting(gate, ret_request);
    return take_next(gate, deadline_ns, ret_request);
}

int sb_gate_next(struct sb_gate *gate, int timeout_ms, struct sb_request **ret_request)
{
    int64_t deadline_ns = sb_deadline_ns(timeout_ms);
    /* Who passes requests on needs no place for them: the channel is the bound. */
    int r = gate->role == SB_GATE_WORKER ? reserve_place(gate, deadline_ns) : wait_for_channel(gate, deadline_ns);
    if (r <= 0)
        return r;
    if (takes_turns(gate))
        take_turn(gate);
    while ((r = look(gate, deadline_ns, ret_request)) == -EAGAIN)
        sb_gate_tire(gate);
    gate->fruitless = 0;
    if (takes_turns(gate))
        leave_turn(gate);
    if (r < 0 && r != -ECANCELED) {
        r = sb_gate_fails(gate, "cannot accept", r);
        sb_gate_pause(gate);
    }
    return r;
}
