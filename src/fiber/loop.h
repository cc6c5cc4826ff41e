/* A thread's loop: accepts, runs each request on a fiber, and waits for what the fibers wait for. How it waits is an
 * engine's business. Private. */
#ifndef FIBER_LOOP_H
#define FIBER_LOOP_H

#include <signal.h>

#include "../accept.h"
#include "../worker.h"
#include "switch.h"
#include "timers.h"

/* io_uring: something that a task has asked the kernel for. */
struct sb_operation {
    struct sb_task *task;
    bool done;
    int result;
};

/* A request on its fiber; lies on the fiber's stack. */
struct sb_task {
    struct sb_fiber *fiber;
    struct sb_request *request;
    struct sb_worker worker;            /* who runs here, while it does */
    struct sb_task *next;               /* in the queue of those that may run */
    struct sb_task *all_next, **all_link;
    bool parked;                        /* waits, and is in no queue */
    int result;                         /* what its wait returns */
    struct sb_timer timer;              /* set for the deadline or earlier: it is not moved for each wait */
    int64_t deadline_ns;                /* of the wait */
    struct sb_watch *awaited;           /* what was armed: the request's own watch, or this one: */
    struct sb_watch other;
    int other_fd;                       /* -1: not armed */
    bool other_is_copy;
    struct sb_operation operation;      /* io_uring: the poll of such a descriptor */
};

struct sb_loop {
    struct sb_server *server;
    struct sb_gate *gate;
    const struct sb_engine *engine;
    void *engine_state;
    struct sb_fiber_pool fibers;
    struct sb_timers timers, held_timers;
    struct sb_task *current;            /* NULL: the loop itself runs */
    struct sb_task *all;
    unsigned n_tasks;
    struct sb_request *held;            /* accepted, but not one byte has come: they have no fiber yet */
    struct sb_request *arrived;         /* were held until now */
    unsigned n_held;
    void (*serve)(struct sb_request *request);
    bool callers_speak_first;           /* so the handlers say */
    int timeout_ms;                     /* of their operations; 0: the request's own */
    struct sb_task *first, **last;      /* the queue */
    int64_t now_ns;                     /* of this turn */
    int64_t switched_ns;                /* when a fiber came back last, by the coarse clock */
    int64_t retry_ns;                   /* before that there is no memory for those that have arrived */
    int64_t resume_ns;                  /* accepting is paused until then, for want of something */
    bool ending, announced, cutting;
    bool listens;                       /* the engine accepts */
    int refused_fd;                     /* accepted, but there was no place for it; -1: none */
    unsigned refused_listener;
    bool more_to_accept;                /* than one turn takes */
    int64_t ended_ns, drain_deadline_ns;
    stack_t signal_stack, previous_signal_stack;
    char overflow_text[256];
};

struct sb_engine {
    const char *name;
    int (*try)(void);                   /* whether the system lets us; NULL: always */
    int (*open)(struct sb_loop *loop);
    void (*close)(struct sb_loop *loop);

    /* Waits for something, at most timeout_ms (-1: without limit), and tells it by sb_watch_tell() and sb_gate_tell().
     * Returns how many things, or -errno. */
    int (*turn)(struct sb_loop *loop, int timeout_ms);

    /* The task is about to wait for these events of fd. Returns those that are there, 0 when it has to wait, or -errno.
     * disarm: it no longer waits for what was armed. */
    int (*arm)(struct sb_loop *loop, struct sb_task *task, int fd, short events);
    void (*disarm)(struct sb_loop *loop, struct sb_task *task);

    /* Watches the connection of a request that is held. */
    int (*hold)(struct sb_loop *loop, struct sb_request *request);

    /* The connection is about to be closed; NULL: that needs nothing. */
    void (*forget)(struct sb_loop *loop, struct sb_request *request);

    /* Where the bytes of a connection come and go by other means than the sockets' calls; leave: from now on by those.
     * Both may be NULL. */
    const struct sb_io *io;
    void (*leave)(struct sb_loop *loop, struct sb_request *request);

    /* Accepts connections by other means than the gate, or no longer does. accepted: the next of them, and takes it off
     * the list; 0, -EAGAIN: none, or why accepting has ended. accepts: whether there may be more. All or none are
     * NULL. */
    void (*listen)(struct sb_loop *loop, bool on);
    int (*accepted)(struct sb_loop *loop, unsigned *ret_listener, int *ret_fd);
    bool (*accepts)(const struct sb_loop *loop);
};

extern const struct sb_engine sb_epoll_engine, sb_uring_engine;

/* The loop of this thread, while it serves. */
extern _Thread_local struct sb_loop *sb_loop;

/* Serves with this gate until a stop, then until its requests have ended or were cut off. serve: runs on a fiber, and
 * ends the request. */
int sb_loop_run(struct sb_gate *gate, const struct sb_engine *engine, void (*serve)(struct sb_request *request));

/* Takes a request over: runs it on a fiber of its own, at once or, where the handler needs nothing else, when the
 * caller has spoken, or when there is memory again: then 1. -errno: it could not. */
int sb_loop_start(struct sb_loop *loop, struct sb_request *request);

/* callers.c: takes in some who wait at the gate, and tries again after a pause; starts those held who have spoken, and
 * those whose time to do so is over. release: a held request has a reason to go on, in this turn. */
void sb_loop_accept(struct sb_loop *loop);
void sb_loop_resume_accepting(struct sb_loop *loop);
void sb_loop_start_arrived(struct sb_loop *loop);
void sb_loop_expire_held(struct sb_loop *loop);
void sb_loop_release(struct sb_loop *loop, struct sb_request *request);

/* loop.c, for callers.c: a fiber for the request, which runs at once; -ENOMEM. No more requests are taken in. */
int sb_loop_spawn(struct sb_loop *loop, struct sb_request *request);
void sb_loop_begin_end(struct sb_loop *loop);

/* The timers' tick, a millisecond, at or before a time of sb_now_ns(). */
#define SB_TICK_NS 1000000
static inline uint64_t sb_tick(int64_t ns)
{
    return ns / SB_TICK_NS;
}

/* On a fiber whose handler has finished: what is left is the end of the connection. */
void sb_loop_leave(struct sb_loop *loop);

/* Before a request's connection is closed. */
void sb_loop_forget(struct sb_loop *loop, struct sb_request *request);

/* For engines: parks the current fiber; 0 or more: what it was woken with, -ETIMEDOUT, -ECANCELED. wake: does nothing
 * to one that is not parked. */
int sb_loop_park(struct sb_loop *loop, int64_t deadline_ns);
void sb_loop_wake(struct sb_loop *loop, struct sb_task *task, int result);
struct sb_request *sb_watch_request(struct sb_watch *watch);

/* sb_class.wait, on a fiber. */
int sb_loop_wait(struct sb_loop *loop, int fd, short events, int64_t deadline_ns);

/* Events of a watched descriptor: wakes who waits for them, or keeps them for who will. */
void sb_watch_tell(struct sb_loop *loop, struct sb_watch *watch, short events);

/* What was waited for has been told. An edge comes once, so what stays true is kept. */
void sb_watch_forget(struct sb_watch *watch, short events);

#endif
