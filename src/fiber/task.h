/* A thread's fibers: who may run, who waits for what, and until when. Private. All of it belongs to one thread. */
#ifndef FIBER_TASK_H
#define FIBER_TASK_H

#include <signal.h>
#include "../objects.h"
#include "engine.h"
#include "switch.h"
#include "timers.h"

/* What is waited for at one descriptor. */
struct sb_watch {
    struct sb_task *task;               /* who waits, or NULL */
    short awaited, ready;               /* poll(2)'s; ready: came, and nobody waited */
    bool held;                          /* the watch of a caller that is on no fiber */
};

/* What a loop keeps for a request, in the request itself (sb_request_state). */
struct sb_caller {
    struct sb_request *request;
    struct sb_watch watch;              /* its connection */
    union {
        struct sb_epoll_caller epoll;
        struct sb_ring_caller ring;
    };
    LIST_ENTRY(sb_caller) link;         /* while it is on no fiber: held or arrived */
    struct sb_timer timer;              /* while it is held */
};

/* A request on its fiber; lies on the fiber's stack. */
struct sb_task {
    struct sb_fiber *fiber;
    struct sb_caller *caller;
    struct sb_worker worker;            /* who runs here, while it does */
    STAILQ_ENTRY(sb_task) next;         /* in the queue of those that may run */
    LIST_ENTRY(sb_task) link;           /* among all */
    bool parked;                        /* waits, and is in no queue */
    int result;                         /* what its wait returns */
    struct sb_timer timer;              /* set for the deadline or earlier: it is not moved for each wait */
    int64_t deadline_ns;                /* of the wait */
    struct sb_watch *awaited;           /* what was armed: the caller's own watch, or this one: */
    struct sb_watch other;
    int other_fd;                       /* -1: not armed */
    bool other_is_copy;
    struct sb_operation operation;      /* io_uring: the poll of such a descriptor */
};

LIST_HEAD(sb_callers, sb_caller);
STAILQ_HEAD(sb_queue, sb_task);

struct sb_loop {
    struct sb_server *server;
    struct sb_gate *gate;
    const struct sb_engine *engine;
    void *engine_state;
    void (*serve)(struct sb_request *request);
    struct sb_fiber_pool fibers;
    struct sb_timers timers, held_timers;
    struct sb_task *current;            /* NULL: the loop itself runs */
    LIST_HEAD(, sb_task) all;
    unsigned n_tasks;
    struct sb_queue queue;
    struct sb_callers held;             /* accepted, but not one byte has come: they have no fiber yet */
    struct sb_callers arrived;          /* were held until now */
    unsigned n_held;                    /* both */
    atomic_uint slot_hint;              /* of its fibers' slots */
    atomic_bool *held_up;               /* a handler has held up a loop of the server: said once */
    int64_t now_ns;                     /* of this turn */
    int64_t switched_ns;                /* when a fiber came back last, by the coarse clock */
    int64_t retry_ns;                   /* before that there is no fiber for those that have arrived */
    int64_t resume_ns;                  /* accepting is paused until then, for want of something */
    bool ending, announced, cutting;
    int result;                         /* of its serving: 0 or -errno */
    bool listens;                       /* the engine accepts */
    int refused_fd;                     /* accepted, but there was no place for it; -1: none */
    unsigned refused_listener;
    unsigned owed;                      /* who may still wait for us alone once it ends: at most so many */
    bool more_to_accept;                /* than one turn takes */
    int64_t ended_ns, drain_deadline_ns;
    stack_t signal_stack, previous_signal_stack;
    char overflow_text[256];
};

/* The loop of this thread, while it serves. */
extern _Thread_local struct sb_loop *sb_loop;

/* A fiber for the request, which runs at once: the loop's `serve`; -ENOMEM, or why not. */
int sb_task_spawn(struct sb_loop *loop, struct sb_caller *caller);

/* Goes on with all that may run, each until it waits again. */
void sb_tasks_run(struct sb_loop *loop);

/* Wakes those whose deadline is over. */
void sb_tasks_expire(struct sb_loop *loop);

/* sb_class.wait, on a fiber. */
int sb_task_wait(struct sb_loop *loop, int fd, short events, int64_t deadline_ns);

/* For engines: parks the current fiber; 0 or more: what it was woken with, -ETIMEDOUT, -ECANCELED. wake: does nothing
 * to one that is not parked. */
int sb_task_park(struct sb_loop *loop, int64_t deadline_ns);
void sb_task_wake(struct sb_loop *loop, struct sb_task *task, int result);

/* Events of a watched descriptor: wakes who waits for them, or keeps them for who will. */
void sb_watch_tell(struct sb_loop *loop, struct sb_watch *watch, short events);

/* What was waited for has been told. An edge comes once, so what stays true is kept. */
void sb_watch_forget(struct sb_watch *watch, short events);

/* A held request has a reason to go on: in this turn, but not before all events of the turn have been told. */
void sb_caller_release(struct sb_loop *loop, struct sb_caller *caller);

/* The timers' tick, a millisecond, at or before a time of sb_now_ns(). */
#define SB_TICK_NS 1000000
static inline uint64_t sb_tick(int64_t ns)
{
    return ns / SB_TICK_NS;
}

#endif
