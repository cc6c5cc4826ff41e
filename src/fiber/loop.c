#include "loop.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <sys/param.h>

#include "../family/batch.h"
#include "overflow.h"

/* A fiber that runs longer than this without waiting is one that blocks. */
#define HELD_UP_NS INT64_C(100000000)

_Thread_local struct sb_loop *sb_loop;

/* --- tasks -------------------------------------------------------------------------------------------------------- */

void sb_loop_wake(struct sb_loop *loop, struct sb_task *task, int result)
{
    if (!task->parked)
        return;
    task->parked = false;
    task->result = result;
    task->next = NULL;
    *loop->last = task;
    loop->last = &task->next;
}

static void add_task(struct sb_loop *loop, struct sb_task *task)
{
    task->all_next = loop->all;
    task->all_link = &loop->all;
    if (task->all_next)
        task->all_next->all_link = &task->all_next;
    loop->all = task;
    loop->n_tasks++;
}

static void remove_task(struct sb_loop *loop, struct sb_task *task)
{
    *task->all_link = task->all_next;
    if (task->all_next)
        task->all_next->all_link = task->all_link;
    sb_timer_clear(&task->timer);
    loop->n_tasks--;
}

/* It has kept all others waiting. request: whose handler that was, NULL when it has ended meanwhile. */
static void report_held_up(struct sb_loop *loop, struct sb_request *request, int64_t ns)
{
    struct sb_server *server = loop->server;
    __atomic_store_n(&sb_worker.slot->held_up, sb_worker.slot->held_up + 1, __ATOMIC_RELAXED);
    if (atomic_exchange(&server->held_up, true))
        return;
    sb_server_log(server, SB_LOG_WARNING, "the handler %s held its thread for %d ms%s%s%s%s, and all callers of that "
                  "thread waited: it must wait by sb_wait_fd, sb_sleep and the like, or be served by threads (said "
                  "once; counted on the scoreboard)", server->handler_name, (int)(ns / 1000000),
                  request ? ", in " : "", request ? request->phase : "", request ? " for " : "",
                  request ? sb_client_name(request) : "");
}

/* Back in the loop, whose own worker that is; the task may be gone, and with it the request. */
static void came_back(struct sb_loop *loop, struct sb_fiber *fiber, const struct sb_worker *own,
                      struct sb_request *request)
{
    int64_t now_ns = sb_coarse_now_ns(), took_ns = now_ns - loop->switched_ns;
    loop->switched_ns = now_ns;
    loop->current = NULL;
    sb_worker = *own;
    if (took_ns > HELD_UP_NS)
        report_held_up(loop, fiber->ended ? NULL : request, took_ns);
    if (fiber->ended)
        sb_fiber_put(fiber);
}

static void resume(struct sb_loop *loop, struct sb_task *task)
{
    const struct sb_worker own = sb_worker;
    struct sb_fiber *fiber = task->fiber;
    struct sb_request *request = task->request;
    sb_worker = task->worker;
    loop->current = task;
    sb_fiber_resume(fiber);
    came_back(loop, fiber, &own, request);
}

struct start {
    struct sb_loop *loop;
    struct sb_fiber *fiber;
    struct sb_request *request;
};

/* The bottom of each fiber's stack. */
static void serve(void *argument)
{
    const struct start *start = argument;
    struct sb_loop *loop = start->loop;
    struct sb_task task = { .fiber = start->fiber, .request = start->request, .other_fd = -1 };
    struct sb_slot *slot = sb_slot_claim(loop->server, sb_worker.index);
    sb_worker.in_loop = false;
    sb_slot_occupy(loop->server, slot, 0);
    add_task(loop, &task);
    loop->current = &task;
    if (!task.request->datagram)
        task.request->io = loop->engine->io;
    loop->serve(task.request);
    remove_task(loop, &task);
    sb_slot_release(loop->server, slot, SB_FREE);
}

int sb_loop_spawn(struct sb_loop *loop, struct sb_request *request)
{
    struct sb_fiber *fiber = sb_fiber_get(&loop->fibers);
    struct start start = { loop, fiber, request };
    if (!fiber)
        return -ENOMEM;
    const struct sb_worker own = sb_worker;
    sb_fiber_start(fiber, serve, &start);
    came_back(loop, fiber, &own, request);
    return 0;
}

/* --- waiting ------------------------------------------------------------------------------------------------------ */

/* A timer is left where it is when it comes early enough, for each wait sets a deadline and hardly any is reached. */
static void set_timer(struct sb_loop *loop, struct sb_task *task, int64_t deadline_ns)
{
    task->deadline_ns = deadline_ns;
    if (deadline_ns == NEVER)
        return;
    uint64_t tick = sb_tick(deadline_ns) + 1;
    if (task->timer.link && task->timer.tick <= tick)
        return;
    sb_timer_clear(&task->timer);
    sb_timer_set(&loop->timers, &task->timer, tick);
}

static int park(struct sb_task *task)
{
    task->worker = sb_worker;
    sb_fiber_park(task->fiber);
    return task->result;
}

int sb_loop_park(struct sb_loop *loop, int64_t deadline_ns)
{
    set_timer(loop, loop->current, deadline_ns);
    loop->current->parked = true;
    return park(loop->current);
}

/* Lets the others have their turn. */
static int yield(struct sb_loop *loop, struct sb_task *task)
{
    task->parked = true;
    sb_loop_wake(loop, task, -ETIMEDOUT);
    return park(task);
}

int sb_loop_wait(struct sb_loop *loop, int fd, short events, int64_t deadline_ns)
{
    struct sb_task *task = loop->current;
    if (loop->cutting)
        return -ECANCELED;
    int r = fd < 0 ? 0 : loop->engine->arm(loop, task, fd, events);
    if (r != 0)
        return r;
    if (fd < 0 && deadline_ns <= loop->now_ns)
        return yield(loop, task);
    sb_loop_park(loop, deadline_ns);
    if (fd >= 0)
        loop->engine->disarm(loop, task);
    return task->result;
}

/* A timer may be older than its task's deadline: then it is set again. */
static void expire_tasks(struct sb_loop *loop)
{
    struct sb_timer *timer;
    while ((timer = sb_timers_expire(&loop->timers, sb_tick(loop->now_ns))) != NULL) {
        struct sb_task *task = (struct sb_task *)((char *)timer - offsetof(struct sb_task, timer));
        if (!task->parked || task->deadline_ns == NEVER)
            continue;
        if (task->deadline_ns <= loop->now_ns)
            sb_loop_wake(loop, task, -ETIMEDOUT);
        else
            set_timer(loop, task, task->deadline_ns);
    }
}

void sb_loop_forget(struct sb_loop *loop, struct sb_request *request)
{
    if (loop->engine->forget)
        loop->engine->forget(loop, request);
}

void sb_loop_leave(struct sb_loop *loop)
{
    struct sb_request *request = loop->current->request;
    if (!request->io)
        return;
    loop->engine->leave(loop, request);
    request->io = NULL;
}

struct sb_request *sb_watch_request(struct sb_watch *watch)
{
    return (struct sb_request *)((char *)watch - offsetof(struct sb_request, watch));
}

void sb_watch_forget(struct sb_watch *watch, short events)
{
    watch->ready &= ~events;
    if (watch->ready & (POLLHUP | POLLERR | POLLRDHUP))
        watch->ready |= POLLIN;
    if (watch->ready & (POLLHUP | POLLERR))
        watch->ready |= POLLOUT;
}

void sb_watch_tell(struct sb_loop *loop, struct sb_watch *watch, short events)
{
    struct sb_task *task = watch->task;
    short hit = events & (watch->awaited | POLLHUP | POLLERR);
    watch->ready |= events;
    if (watch->holds) {
        sb_watch_forget(watch, POLLIN);
        sb_loop_release(loop, sb_watch_request(watch));
    } else if (task && hit != 0) {
        sb_loop_wake(loop, task, hit);
    }
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

void sb_loop_begin_end(struct sb_loop *loop)
{
    loop->ending = true;
    loop->ended_ns = loop->now_ns;
    loop->drain_deadline_ns = sb_deadline_ns(sb_server_drain_ms(loop->server));
    loop->resume_ns = 0;
    sb_gate_end(loop->gate);
    if (loop->listens)
        loop->engine->listen(loop, false);
}

static void cut(struct sb_loop *loop)
{
    if (loop->cutting)
        return;
    if (!loop->gate->cut)
        sb_server_log_cut(loop->server, loop->n_tasks + loop->n_held);
    loop->cutting = true;
    for (struct sb_task *task = loop->all; task; task = task->all_next)
        sb_loop_wake(loop, task, -ECANCELED);
    while (loop->held)
        sb_loop_release(loop, loop->held);
}

static int64_t announce_ns(const struct sb_loop *loop)
{
    return loop->ended_ns + QUIET_DRAIN_MS * INT64_C(1000000);
}

/* Requests that still run when a stop was asked for: announced, and at the deadline cut off. */
static void drain(struct sb_loop *loop)
{
    if (loop->gate->cut || loop->drain_deadline_ns <= loop->now_ns)
        cut(loop);
    else if (!loop->announced && announce_ns(loop) <= loop->now_ns) {
        sb_server_log_drain(loop->server, loop->n_tasks + loop->n_held);
        loop->announced = true;
    }
}

/* --- the loop ----------------------------------------------------------------------------------------------------- */

/* What was accepted before the stop is served. */
static bool is_over(const struct sb_loop *loop)
{
    return loop->ending && loop->n_tasks + loop->n_held == 0 &&
           !(loop->listens && (loop->refused_fd >= 0 || loop->engine->accepts(loop)));
}

static void run_queue(struct sb_loop *loop)
{
    struct sb_task *task = loop->first;
    loop->first = NULL;
    loop->last = &loop->first;
    while (task) {
        struct sb_task *next = task->next;
        resume(loop, task);
        task = next;
    }
}

static int timeout_ms(const struct sb_loop *loop)
{
    if (loop->first || loop->more_to_accept || sb_gate_pending(loop->gate))
        return 0;
    int64_t until_ns = loop->ending && !loop->cutting ? loop->drain_deadline_ns : NEVER;
    if (loop->ending && !loop->announced)
        until_ns = MIN(until_ns, announce_ns(loop));
    if (loop->arrived)
        until_ns = MIN(until_ns, loop->retry_ns);
    if (loop->resume_ns > 0)
        until_ns = MIN(until_ns, loop->resume_ns);
    uint64_t tick = MIN(sb_timers_next(&loop->timers), sb_timers_next(&loop->held_timers));
    if (tick != UINT64_MAX)
        until_ns = MIN(until_ns, (int64_t)tick * SB_TICK_NS);
    return sb_remaining_ms(until_ns);
}

/* Before it sleeps it may look again for a while: that costs CPU time, and saves the time it takes to wake up. */
static int wait_for_something(struct sb_loop *loop)
{
    int limit_ms = timeout_ms(loop), spin_us = loop->server->config.spin_us, r = 0;
    if (limit_ms != 0 && spin_us > 0) {
        int64_t until_ns = sb_now_ns() + spin_us * INT64_C(1000);
        do
            r = loop->engine->turn(loop, 0);
        while (r == 0 && sb_now_ns() < until_ns);
        limit_ms = timeout_ms(loop);
    }
    return r == 0 ? loop->engine->turn(loop, limit_ms) : r;
}

static int turn(struct sb_loop *loop)
{
    int r = wait_for_something(loop);
    if (r < 0)
        return r;
    loop->now_ns = sb_now_ns();
    loop->switched_ns = sb_coarse_now_ns();
    expire_tasks(loop);
    sb_loop_expire_held(loop);
    if (loop->ending || loop->gate->cut)
        drain(loop);
    sb_loop_start_arrived(loop);
    run_queue(loop);
    sb_loop_resume_accepting(loop);
    if (loop->listens || !loop->ending)
        sb_loop_accept(loop);
    sb_batches_flush(loop->server);
    methods(loop->server)->service_actions(loop->server);
    return 0;
}

int sb_loop_run(struct sb_gate *gate, const struct sb_engine *engine, void (*serve_request)(struct sb_request *request))
{
    struct sb_loop loop = { .server = gate->server, .gate = gate, .engine = engine, .serve = serve_request,
                            .now_ns = sb_now_ns(), .refused_fd = -1 };
    loop.last = &loop.first;
    loop.callers_speak_first = sb_handlers_common_traits(loop.server) & SB_CALLER_FIRST;
    loop.timeout_ms = sb_handlers_timeout_ms(loop.server);
    sb_fiber_pool_init(&loop.fibers, gate->server->config.stack_size);
    sb_timers_init(&loop.timers, sb_tick(loop.now_ns));
    sb_timers_init(&loop.held_timers, sb_tick(loop.now_ns));
    int r = sb_gate_prepare(gate);
    if (r == 0)
        r = engine->open(&loop);
    if (r < 0)
        return r;
    sb_loop = &loop;
    sb_overflow_watch(&loop);
    sb_batches_open(loop.server);
    sb_slot_enter(sb_worker.slot, SB_WAITING);
    loop.listens = engine->listen && sb_gate_leave_streams(gate);
    if (loop.listens)
        engine->listen(&loop, true);
    while (r >= 0 && !is_over(&loop))
        r = turn(&loop);
    sb_batches_close(loop.server);
    sb_overflow_unwatch(&loop);
    sb_loop = NULL;
    engine->close(&loop);
    sb_fiber_pool_finish(&loop.fibers);
    return r;
}
