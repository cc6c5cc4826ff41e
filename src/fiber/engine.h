/* How a loop of fibers waits: what an engine is, and what it keeps for each connection. Private. */
#ifndef FIBER_ENGINE_H
#define FIBER_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

struct sb_loop;
struct sb_task;
struct sb_caller;
struct sb_io;

/* epoll, of a connection. */
struct sb_epoll_caller {
    uint32_t registered;            /* for these events */
};

/* io_uring, of a connection. */
struct sb_ring_caller {
    bool starved;                   /* there was no buffer to receive into */
    bool receives, ended, left;     /* a receive is under way; `end` is known; the sockets' calls again */
    uint16_t first, last, n_queued; /* buffers with what nobody has read yet */
    int end;                        /* what a receive returns behind them: 0 or -errno */
};

/* io_uring: something that a task has asked the kernel for. */
struct sb_operation {
    struct sb_task *task;
    bool done;
    int result;
};

struct sb_engine {
    const char *name;
    int (*try)(void);                   /* whether the system lets us; NULL: always */
    int (*open)(struct sb_loop *loop);
    void (*close)(struct sb_loop *loop);

    /* Waits for something, at most timeout_ms (-1: without limit), and tells it by sb_watch_tell() and sb_gate_tell().
     * Returns how many things, or -errno, and may be called again. */
    int (*turn)(struct sb_loop *loop, int timeout_ms);

    /* The task is about to wait for these events of fd. Returns those that are there, 0 when it has to wait, or -errno.
     * disarm: it no longer waits for what was armed. */
    int (*arm)(struct sb_loop *loop, struct sb_task *task, int fd, short events);
    void (*disarm)(struct sb_loop *loop, struct sb_task *task);

    /* Watches the connection of a request that is held. */
    int (*hold)(struct sb_loop *loop, struct sb_caller *caller);

    /* The connection is about to be closed; NULL: that needs nothing. */
    void (*forget)(struct sb_loop *loop, struct sb_caller *caller);

    /* Where the bytes of a connection come and go by other means than the sockets' calls; leave: from now on by those.
     * Both may be NULL. */
    const struct sb_io *io;
    void (*leave)(struct sb_loop *loop, struct sb_caller *caller);

    /* Accepts connections by other means than the gate, or no longer does. accepted: the next of them, and takes it off
     * the list; 0, -EAGAIN: none, or why accepting has ended. accepts: whether there may be more. All or none are
     * NULL. */
    void (*listen)(struct sb_loop *loop, bool on);
    int (*accepted)(struct sb_loop *loop, unsigned *ret_listener, int *ret_fd);
    bool (*accepts)(const struct sb_loop *loop);
};

extern const struct sb_engine sb_epoll_engine, sb_uring_engine;

#endif
