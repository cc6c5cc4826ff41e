#include "task.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>

#include "../child.h"
#include "../ground/clock.h"
#include "../handlers.h"

/* A fiber that runs longer than this without waiting is one that blocks. */
#define HELD_UP_NS INT64_C(100000000)

_Thread_local struct sb_loop *sb_loop;

/* --- running ------------------------------------------------------------------------------------------------------ */

void sb_task_wake(struct sb_loop *loop, struct sb_task *task, int result)
{
    if (!task->parked)
        return;
    task->parked = false;
    task->result = result;
    STAILQ_INSERT_TAIL(&loop->queue, task, next);
}

/* It has kept all others waiting. request: whose handler that was, NULL when it has ended meanwhile. */
static void report_held_up(struct sb_loop *loop, struct sb_request *request, int64_t ns)
{
    struct sb_server *server = loop->server;
    __atomic_store_n(&sb_worker.slot->held_up, sb_worker.slot->held_up + 1, __ATOMIC_RELAXED);
    if (atomic_load_explicit(loop->held_up, memory_order_relaxed) || atomic_exchange(loop->held_up, true))
        return;
    sb_server_log(server, SB_LOG_WARNING, "the handler %s held its thread for %d ms%s%s%s%s, and all callers of that "
                  "thread waited: it must wait by sb_wait_fd, sb_sleep and the like, or be served by threads (said "
                  "once; counted on the scoreboard)", sb_server_handler_name(server), (int)(ns / 1000000),
                  request ? ", in " : "", request ? request->phase : "", request ? " for " : "",
                  request ? sb_client_name(request) : "");
}

/* Back in the loop, whose own worker that is; the task may be gone, and with it the request. */
static void came_back(struct sb_loop *loop, struct sb_fiber *fiber, const struct sb_worker *own,
                      struct sb_request *request)
{
    if (sb_child_strays())
        sb_child_end_stray(loop->server);
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
    struct sb_request *request = task->caller->request;
    sb_worker = task->worker;
    loop->current = task;
    sb_fiber_resume(fiber);
    came_back(loop, fiber, &own, request);
}

void sb_tasks_run(struct sb_loop *loop)
{
    struct sb_task *task = STAILQ_FIRST(&loop->queue), *next;
    STAILQ_INIT(&loop->queue);
    for (; task; task = next) {
        next = STAILQ_NEXT(task, next);
        resume(loop, task);
    }
}

struct start {
    struct sb_loop *loop;
    struct sb_fiber *fiber;
    struct sb_caller *caller;
};

/* The bottom of each fiber's stack. */
static void serve(void *argument)
{
    const struct start *start = argument;
    struct sb_loop *loop = start->loop;
    struct sb_request *request = start->caller->request;
    struct sb_task task = { .fiber = start->fiber, .caller = start->caller, .other_fd = -1 };
    const struct sb_crew *crew = &loop->server->crew;
    struct sb_slot *slot = sb_slot_claim(crew, &loop->slot_hint, sb_worker.index);
    sb_worker.in_loop = false;
    sb_slot_occupy(crew, slot, 0);
    LIST_INSERT_HEAD(&loop->all, &task, link);
    loop->n_tasks++;
    loop->current = &task;
    if (!request->datagram)
        request->io = loop->engine->io;
    loop->serve(request);
    LIST_REMOVE(&task, link);
    sb_timer_clear(&task.timer);
    loop->n_tasks--;
    sb_slot_release(crew, &loop->slot_hint, slot, SB_FREE);
}

int sb_task_spawn(struct sb_loop *loop, struct sb_caller *caller)
{
    struct sb_fiber *fiber = sb_fiber_get(&loop->fibers);
    struct start start = { loop, fiber, caller };
    struct sb_request *request = caller->request;
    if (!fiber)
        return -ENOMEM;
    const struct sb_worker own = sb_worker;
    int r = sb_fiber_start(fiber, serve, &start);
    if (r < 0)
        sb_fiber_put(fiber);
    else
        came_back(loop, fiber, &own, request);
    return r;
}

/* --- waiting ------------------------------------------------------------------------------------------------------ */

/* A timer is left where it is when it comes early enough, for each wait sets a deadline and hardly any is reached. */
static void set_timer(struct sb_loop *loop, struct sb_task *task, int64_t deadline_ns)
{
    task->deadline_ns = deadline_ns;
    if (deadline_ns == NEVER)
        return;
    uint64_t tick = sb_tick(deadline_ns) + 1;
    if (sb_timer_is_set(&task->timer) && task->timer.tick <= tick)
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

int sb_task_park(struct sb_loop *loop, int64_t deadline_ns)
{
    set_timer(loop, loop->current, deadline_ns);
    loop->current->parked = true;
    return park(loop->current);
}

/* Lets the others have their turn. */
static int yield(struct sb_loop *loop, struct sb_task *task)
{
    task->parked = true;
    sb_task_wake(loop, task, -ETIMEDOUT);
    return park(task);
}

int sb_task_wait(struct sb_loop *loop, int fd, short events, int64_t deadline_ns)
{
    struct sb_task *task = loop->current;
    if (loop->cutting)
        return -ECANCELED;
    int r = fd < 0 ? 0 : loop->engine->arm(loop, task, fd, events);
    if (r != 0)
        return r;
    if (fd < 0 && deadline_ns <= loop->now_ns)
        return yield(loop, task);
    sb_task_park(loop, deadline_ns);
    if (fd >= 0)
        loop->engine->disarm(loop, task);
    return task->result;
}

/* A timer may be older than its task's deadline: then it is set again. */
void sb_tasks_expire(struct sb_loop *loop)
{
    struct sb_timer *timer;
    while ((timer = sb_timers_expire(&loop->timers, sb_tick(loop->now_ns))) != NULL) {
        struct sb_task *task = (struct sb_task *)((char *)timer - offsetof(struct sb_task, timer));
        if (!task->parked || task->deadline_ns == NEVER)
            continue;
        if (task->deadline_ns <= loop->now_ns)
            sb_task_wake(loop, task, -ETIMEDOUT);
        else
            set_timer(loop, task, task->deadline_ns);
    }
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
    if (watch->held) {
        sb_watch_forget(watch, POLLIN);
        sb_caller_release(loop, (struct sb_caller *)((char *)watch - offsetof(struct sb_caller, watch)));
    } else if (task && hit != 0) {
        sb_task_wake(loop, task, hit);
    }
}

void sb_caller_release(struct sb_loop *loop, struct sb_caller *caller)
{
    caller->watch.held = false;
    sb_timer_clear(&caller->timer);
    LIST_REMOVE(caller, link);
    LIST_INSERT_HEAD(&loop->arrived, caller, link);
}
