#include "callers.h"

#include <errno.h>
#include <stddef.h>

#include "../dispatch.h"
#include "../ground/clock.h"
#include "gate_poll.h"

/* So many are accepted before those that are there have their turn. */
#define ACCEPT_BATCH 16

#define PAUSE_NS (SB_SHORTAGE_PAUSE_MS * INT64_C(1000000))

/* --- callers who have not spoken ---------------------------------------------------------------------------------- */

/* What has come already is served at once, except where only the engine can tell. */
static bool may_hold(const struct sb_loop *loop, const struct sb_request *request)
{
    char byte;
    return !request->datagram && loop->server->attributes.caller_first &&
           (loop->engine->io || (recv(request->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN));
}

static int hold(struct sb_loop *loop, struct sb_caller *caller)
{
    int own_ms = loop->server->attributes.timeout_ms;
    int64_t deadline_ns = sb_deadline_ns(own_ms ? own_ms : caller->request->timeout_ms);
    int r = loop->engine->hold(loop, caller);
    if (r < 0)
        return r;
    caller->watch.held = true;
    LIST_INSERT_HEAD(&loop->held, caller, link);
    loop->n_held++;
    if (deadline_ns != NEVER)
        sb_timer_set(&loop->held_timers, &caller->timer, sb_tick(deadline_ns) + 1);
    return 0;
}

static void lack_fiber(struct sb_loop *loop, int error)
{
    struct sb_server *server = loop->server;
    sb_shortage_begins(&server->shortage, &server->log, "cannot make a fiber for a request", error);
    if (loop->retry_ns <= loop->now_ns)
        loop->retry_ns = loop->now_ns + PAUSE_NS;
}

int sb_callers_start(struct sb_loop *loop, struct sb_caller *caller)
{
    if (may_hold(loop, caller->request)) {
        int r = hold(loop, caller);
        return r < 0 ? r : loop->retry_ns > 0;
    }
    int r = loop->retry_ns <= loop->now_ns ? sb_task_spawn(loop, caller) : 1;
    if (r == 0)
        return 0;
    LIST_INSERT_HEAD(&loop->arrived, caller, link);
    loop->n_held++;
    if (r < 0)
        lack_fiber(loop, r);
    return 1;
}

void sb_callers_expire(struct sb_loop *loop)
{
    struct sb_timer *timer;
    while ((timer = sb_timers_expire(&loop->held_timers, sb_tick(loop->now_ns))) != NULL) {
        struct sb_caller *caller = (struct sb_caller *)((char *)timer - offsetof(struct sb_caller, timer));
        caller->request->late = true;
        sb_caller_release(loop, caller);
    }
}

/* Those for whom there is no fiber yet wait for one. */
void sb_callers_start_arrived(struct sb_loop *loop)
{
    struct sb_server *server = loop->server;
    struct sb_caller *caller;
    while ((caller = LIST_FIRST(&loop->arrived)) != NULL && loop->retry_ns <= loop->now_ns) {
        LIST_REMOVE(caller, link);
        int r = sb_task_spawn(loop, caller);
        if (r < 0) {
            LIST_INSERT_HEAD(&loop->arrived, caller, link);
            lack_fiber(loop, r);
            return;
        }
        if (loop->retry_ns > 0)
            sb_shortage_ends(&server->shortage, &server->log);
        loop->n_held--;
        loop->retry_ns = 0;
    }
}

/* --- accepting ---------------------------------------------------------------------------------------------------- */

/* A place for one more is missing, or what it takes: the listeners are not looked at until that has changed. */
static void pause_accepting(struct sb_loop *loop, int reason)
{
    int r = sb_gate_mute(loop->gate);
    loop->resume_ns = reason == -EBUSY && r == 0 ? NEVER : loop->now_ns + PAUSE_NS;
    if (loop->listens)
        loop->engine->listen(loop, false);
}

int sb_callers_resume(struct sb_loop *loop)
{
    if (loop->resume_ns == 0 || loop->ending)
        return 0;
    bool now = loop->resume_ns == NEVER ? sb_gate_has_room(loop->gate) : loop->resume_ns <= loop->now_ns;
    if (!now)
        return 0;
    int r = sb_gate_unmute(loop->gate);
    if (r < 0) {
        loop->resume_ns = loop->now_ns + PAUSE_NS;
        return sb_gate_fails(loop->gate, "cannot watch for callers", r);
    }
    loop->resume_ns = 0;
    if (loop->listens && !loop->gate->closing)
        loop->engine->listen(loop, true);
    return 0;
}

/* The next connection that the engine has accepted: 1, 0: none, -EBUSY: there is, but no place for it, or -errno. */
static int admit_next(struct sb_loop *loop, struct sb_request **ret_request)
{
    int r = loop->refused_fd >= 0 ? 0 : loop->engine->accepted(loop, &loop->refused_listener, &loop->refused_fd);
    if (r == 0)
        r = sb_gate_admit(loop->gate, loop->refused_listener, loop->refused_fd, ret_request);
    if (r == 0)
        loop->refused_fd = -1;
    return r == 0 ? 1 : r == -EAGAIN ? 0 : r;
}

/* After a stop the gate takes those who are left. */
static void stop_listening(struct sb_loop *loop)
{
    loop->engine->listen(loop, false);
    loop->gate->leaves_streams = false;
}

/* The kernel wakes one of those who wait at a socket: callers of whom it has told our accepts, and then they were called
 * off, nobody else has been told of. */
static int take_owed(struct sb_loop *loop, struct sb_request **ret_request)
{
    if (loop->owed == 0 || loop->engine->accepts(loop))
        return 0;
    int r = -EAGAIN;
    while (r == -EAGAIN && loop->owed > 0) {        /* who has left already may stand before others */
        r = sb_gate_take_stream(loop->gate, ret_request);
        loop->owed -= r != -EBUSY;
    }
    if (r < 0 && r != -EBUSY)
        loop->owed = 0;
    return r == -EAGAIN ? 0 : r;
}

static int next_request(struct sb_loop *loop, struct sb_request **ret_request)
{
    int r = loop->listens ? admit_next(loop, ret_request) : 0;
    if (r != 0)
        return r;
    if (loop->ending)
        return take_owed(loop, ret_request);
    r = sb_gate_poll(loop->gate, ret_request);
    if (loop->gate->closing && loop->gate->leaves_streams)
        stop_listening(loop);
    return r;
}

int sb_callers_accept(struct sb_loop *loop)
{
    struct sb_request *request;
    int r = 1;
    for (int i = 0; r == 1 && i < ACCEPT_BATCH; i++) {
        r = next_request(loop, &request);
        if (r == 1 && sb_dispatch(loop->gate, request) < 0)
            r = -ENOMEM;
    }
    loop->more_to_accept = r == 1;
    if (r == -ECANCELED || loop->ending)
        return loop->ending ? 0 : r;
    if (r < 0 && r != -EBUSY) {
        int error = sb_gate_fails(loop->gate, "cannot accept", r);
        if (error < 0)
            return error;
    }
    if (r < 0)
        pause_accepting(loop, r);
    /* A place that came before we were known to wait has woken nobody. */
    return r == -EBUSY ? sb_callers_resume(loop) : 0;
}
