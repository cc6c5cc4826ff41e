#include "gate_poll.h"

#include <errno.h>
#include <string.h>

#include "../channel.h"
#include "../classes.h"
#include "../family/batch.h"
#include "../family/tcp.h"

int sb_gate_prepare(struct sb_gate *gate)
{
    return sb_gate_watch(gate, gate->server->signals.cut.fd, EPOLLIN, SB_SOURCE_CUT);
}

static void unwatch(const struct sb_gate *gate, int fd)
{
    if (fd >= 0)
        epoll_ctl(gate->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

static void unwatch_sources(const struct sb_gate *gate)
{
    const struct sb_server *server = gate->server;
    for (unsigned i = 0; i < server->n_listeners; i++)
        unwatch(gate, sb_listener_fileno(server->listeners[i]));
    if (sb_gate_reads_channel(gate))
        unwatch(gate, server->channel->in);
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

static bool is_source(uint32_t source)
{
    return source == SB_SOURCE_CHANNEL || source < SB_SOURCE_STOP;
}

/* The kernel has not let us look away. */
static void see_unwanted(struct sb_gate *gate)
{
    unwatch_sources(gate);
    sb_gate_tire(gate);
}

void sb_gate_tell(struct sb_gate *gate, const struct epoll_event *event)
{
    if (event->data.u32 == SB_SOURCE_CUT)
        gate->cut = true;
    else if (event->data.u32 == SB_SOURCE_ROOM)
        sb_wakeup_clear(&gate->server->books.places.room);
    else if (gate->muted && is_source(event->data.u32))
        see_unwanted(gate);
    else if (!is_told(gate, event->data.u32) && gate->n_events < (int)(sizeof gate->events / sizeof *gate->events))
        gate->events[gate->n_events++] = *event;
}

bool sb_gate_pending(const struct sb_gate *gate)
{
    return !gate->muted && (gate->next_event < gate->n_events || sb_batches_waiting(gate->server) >= 0);
}

/* A request from a source, if there is a place for it. */
static int take(struct sb_gate *gate, uint32_t source, struct sb_request **ret_request)
{
    if (source == SB_SOURCE_STOP)
        sb_signals_recheck(&gate->server->signals);
    if (!is_source(source))
        return -EAGAIN;
    return sb_share_reserve(&gate->book->share) ? sb_gate_take(gate, source, ret_request) : -EBUSY;
}

/* -EAGAIN: of what was told there is nothing any more. */
static int take_told(struct sb_gate *gate, struct sb_request **ret_request)
{
    int r = -EAGAIN;
    while (r == -EAGAIN && sb_gate_pending(gate)) {
        bool told = gate->next_event < gate->n_events;
        uint32_t source = told ? gate->events[gate->next_event].data.u32 : (unsigned)sb_batches_waiting(gate->server);
        r = take(gate, source, ret_request);
        if (r == 1 && told)
            put_behind(gate);
        gate->next_event += r == -EAGAIN && told;
    }
    return r;
}

static int take_waiting(struct sb_gate *gate, struct sb_request **ret_request)
{
    return sb_share_reserve(&gate->book->share) ? sb_gate_take_waiting(gate, ret_request) : -EBUSY;
}

int sb_gate_poll(struct sb_gate *gate, struct sb_request **ret_request)
{
    struct sb_server *server = gate->server;
    bool must_end = sb_gate_must_end(gate), last_call = gate->closing && sb_batches_waiting(server) < 0;
    int r = must_end ? -ECANCELED : last_call ? take_waiting(gate, ret_request) : take_told(gate, ret_request);
    if (r == -EAGAIN && gate->n_events > 0)
        sb_gate_tire(gate);
    if (r == -EAGAIN)
        gate->next_event = gate->n_events = 0;
    else if (r == 1)
        gate->fruitless = 0;
    return r == -EAGAIN ? 0 : r;
}

/* While it looks away it waits for a place, as others may that share the server's. */
int sb_gate_mute(struct sb_gate *gate)
{
    struct sb_places *places = &gate->server->books.places;
    if (!gate->muted) {
        gate->muted = true;
        gate->owes = sb_gate_is_told_of_callers(gate);
        gate->next_event = gate->n_events = 0;
        unwatch_sources(gate);
        atomic_fetch_add(&places->waiting, 1);
    }
    int r = gate->watches_room ? 0 : sb_gate_watch(gate, places->room.fd, EPOLLIN, SB_SOURCE_ROOM);
    gate->watches_room = r == 0;
    return r;
}

int sb_gate_unmute(struct sb_gate *gate)
{
    struct sb_places *places = &gate->server->books.places;
    if (!gate->muted)
        return 0;
    int r = sb_gate_watch_sources(gate);
    if (r == -EEXIST) {             /* looking away had failed */
        unwatch_sources(gate);
        r = sb_gate_watch_sources(gate);
    }
    if (r < 0) {
        unwatch_sources(gate);
        return r;
    }
    gate->muted = gate->watches_room = gate->owes = false;
    gate->next_event = gate->n_events = 0;
    atomic_fetch_sub(&places->waiting, 1);
    unwatch(gate, places->room.fd);
    return 0;
}

bool sb_gate_has_room(struct sb_gate *gate)
{
    return sb_share_reserve(&gate->book->share);
}

/* The kernel wakes one loop for a call. If that one has no place for it, those that sleep must not have one. */
void sb_gate_rest(struct sb_gate *gate)
{
    if (gate->server->crew.loops > 1)
        sb_share_release(&gate->book->share);
}

void sb_gate_end(struct sb_gate *gate)
{
    sb_gate_mute(gate);
    unwatch(gate, gate->server->books.places.room.fd);
    unwatch(gate, gate->server->signals.stop.fd);
    unwatch(gate, gate->server->signals.retire.fd);
    sb_share_release(&gate->book->share);
    atomic_fetch_sub(&gate->server->books.places.waiting, 1);
}

bool sb_gate_leave_streams(struct sb_gate *gate)
{
    const struct sb_server *server = gate->server;
    if (server->crew.loops > 1 || sb_gate_reads_channel(gate) || sb_classes_override_get_request(server))
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

int sb_gate_take_stream(struct sb_gate *gate, struct sb_request **ret_request)
{
    const struct sb_server *server = gate->server;
    int r = -EAGAIN;
    for (unsigned i = 0; r == -EAGAIN && i < server->n_listeners; i++)
        if (server->listeners[i]->address.socktype == SOCK_STREAM)
            r = take(gate, i, ret_request);
    return r;
}

int sb_gate_admit(struct sb_gate *gate, unsigned listener, int fd, struct sb_request **ret_request)
{
    if (!sb_share_reserve(&gate->book->share))
        return -EBUSY;
    int r = sb_tcp_admit(gate->server->listeners[listener], fd, NULL, ret_request);
    if (r == 0)
        sb_entry_settle(&(*ret_request)->entry);
    return r;
}
