#include "loop.h"

#include <errno.h>
#include <sys/param.h>

#include "../drain.h"
#include "../family/batch.h"
#include "../ground/clock.h"
#include "../ground/descriptor.h"
#include "../ready.h"
#include "callers.h"
#include "gate_poll.h"
#include "overflow.h"

/* --- the end ------------------------------------------------------------------------------------------------------ */

static void begin_end(struct sb_loop *loop, int why)
{
    if (loop->ending)
        return;
    loop->ending = true;
    loop->result = why == -ECANCELED ? 0 : why;
    loop->ended_ns = loop->now_ns;
    loop->drain_deadline_ns = loop->gate->closing ? sb_drain_deadline_ns(loop->server)
                                                  : sb_deadline_ns(sb_drain_ms(loop->server));
    loop->resume_ns = 0;
    const struct sb_signals *signals = &loop->server->signals;
    if (loop->listens && !loop->cutting && sb_signals_patient(signals) && !sb_signals_hurrying(signals)) {
        loop->owed = SB_OWED_MAX;
        loop->more_to_accept = true;
    }
    sb_gate_end(loop->gate);
    if (loop->listens)
        loop->engine->listen(loop, false);
}

static void cut(struct sb_loop *loop)
{
    if (loop->cutting)
        return;
    unsigned left = loop->n_tasks + loop->n_held;
    if (left > 0 && (!loop->gate->cut || sb_signals_hurrying(&loop->server->signals)))
        sb_drain_log_cut(loop->server, left);
    loop->cutting = true;
    loop->owed = 0;
    struct sb_task *task;
    LIST_FOREACH(task, &loop->all, link)
        sb_task_wake(loop, task, -ECANCELED);
    while (!LIST_EMPTY(&loop->held))
        sb_caller_release(loop, LIST_FIRST(&loop->held));
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
        sb_drain_announce(loop->server, loop->n_tasks + loop->n_held);
        loop->announced = true;
    }
}

/* --- the loop ----------------------------------------------------------------------------------------------------- */

static bool may_accept(const struct sb_loop *loop)
{
    return loop->listens && (loop->refused_fd >= 0 || loop->owed > 0 || loop->engine->accepts(loop));
}

/* What was accepted before the stop is served. */
static bool is_over(const struct sb_loop *loop)
{
    return loop->ending && loop->n_tasks + loop->n_held == 0 && !may_accept(loop);
}

static int timeout_ms(const struct sb_loop *loop)
{
    if (!STAILQ_EMPTY(&loop->queue) || loop->more_to_accept || sb_gate_pending(loop->gate))
        return 0;
    int64_t until_ns = loop->ending && !loop->cutting ? loop->drain_deadline_ns : NEVER;
    if (loop->gate->closing && !loop->ending)
        until_ns = MIN(until_ns, sb_drain_deadline_ns(loop->server));
    if (loop->ending && !loop->announced)
        until_ns = MIN(until_ns, announce_ns(loop));
    if (!LIST_EMPTY(&loop->arrived))
        until_ns = MIN(until_ns, loop->retry_ns);
    if (loop->resume_ns > 0)
        until_ns = MIN(until_ns, MIN(loop->resume_ns, loop->now_ns + SB_ROOM_LOOK_MS * INT64_C(1000000)));
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
    if (limit_ms != 0)
        sb_gate_rest(loop->gate);
    return r == 0 ? loop->engine->turn(loop, limit_ms) : r;
}

/* A wait that fails may succeed again. */
static void after_failure(struct sb_loop *loop, int error)
{
    if (error == -EINTR || error == -EAGAIN || error == -EBUSY) {
        sb_gate_tire(loop->gate);
        return;
    }
    error = sb_gate_fails(loop->gate, "cannot wait for callers", error);
    if (error < 0)
        begin_end(loop, error);
    sb_gate_pause(loop->gate);
}

static void turn(struct sb_loop *loop)
{
    int r = wait_for_something(loop);
    if (r < 0)
        after_failure(loop, r);
    loop->now_ns = sb_now_ns();
    loop->switched_ns = sb_coarse_now_ns();
    sb_tasks_expire(loop);
    sb_callers_expire(loop);
    if (loop->ending || loop->gate->cut)
        drain(loop);
    sb_callers_start_arrived(loop);
    if (!STAILQ_EMPTY(&loop->queue))
        loop->gate->fruitless = 0;
    sb_tasks_run(loop);
    r = sb_callers_resume(loop);
    if (r == 0 && (loop->listens || !loop->ending))
        r = sb_callers_accept(loop);
    if (r < 0)
        begin_end(loop, r);
    if (loop->ending && !may_accept(loop))
        sb_gate_show_end(loop->gate);
    sb_batches_flush(loop->server);
    methods(loop->server)->service_actions(loop->server);
}

static void init(struct sb_loop *loop, struct sb_gate *gate)
{
    const struct sb_crew *crew = &gate->server->crew;
    loop->server = gate->server;
    loop->gate = gate;
    loop->now_ns = sb_now_ns();
    loop->refused_fd = -1;
    loop->slot_hint = crew->board->slot_count / crew->loops * sb_worker.index;
    STAILQ_INIT(&loop->queue);
    sb_fiber_pool_init(&loop->fibers, gate->server->config.stack_size);
    sb_timers_init(&loop->timers, sb_tick(loop->now_ns));
    sb_timers_init(&loop->held_timers, sb_tick(loop->now_ns));
}

static void run(struct sb_loop *loop)
{
    struct sb_loop *outer = sb_loop;
    sb_loop = loop;
    sb_overflow_watch(loop);
    sb_batches_open(loop->server);
    sb_slot_enter(sb_worker.slot, SB_WAITING);
    sb_ready_here(loop->server);
    loop->listens = loop->engine->listen && sb_gate_leave_streams(loop->gate);
    if (loop->listens)
        loop->engine->listen(loop, true);
    while (!is_over(loop))
        turn(loop);
    sb_fd_close(&loop->refused_fd);
    sb_batches_close(loop->server);
    sb_overflow_unwatch(loop);
    sb_loop = outer;
}

int sb_loop_run(struct sb_gate *gate, const struct sb_engine *engine, atomic_bool *held_up,
                void (*serve)(struct sb_request *request))
{
    struct sb_loop loop = { .engine = engine, .held_up = held_up, .serve = serve };
    init(&loop, gate);
    int r = sb_gate_prepare(gate);
    if (r == 0)
        r = engine->open(&loop);
    if (r < 0)
        return r;
    run(&loop);
    engine->close(&loop);
    sb_fiber_pool_finish(&loop.fibers);
    return loop.result;
}
