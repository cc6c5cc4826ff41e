/* The three objects of the library: a server, its listeners, and a request. Private. */
#ifndef OBJECTS_H
#define OBJECTS_H

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <switchboard/switchboard.h>
#include <unistd.h>
#include "fiber/timers.h"
#include "wakeup.h"

#define MAX_CLASSES 16
#define MAX_HANDLERS 8
#define NEVER INT64_MAX

/* A drain that is over within this is not worth a line. */
#define QUIET_DRAIN_MS 100

/* What a request has left to end once it is cut off. */
#define CUT_GRACE_MS 500

struct sb_listener {
    struct sb_server *server;
    unsigned index;
    struct sb_class family;         /* resolved: get_request and the like of this address's own family */
    struct sb_address address;      /* as bound (getsockname) */
    char text[SB_ADDRESS_TEXT_SIZE];
    int fd;                         /* -1 once closed */
    int *fds;                       /* reuseport: one for each loop of the server, fds[0] == fd; else NULL */
    char *unlink_path;              /* a Unix socket's file that this process made, or NULL */
    dev_t device;                   /* and which file that is, for another server may have put its own in the place */
    ino_t inode;
};

struct handler_state {
    const struct sb_handler *handler;
    void *options;
    size_t instance_offset;
    bool configured;
};

struct sb_server {
    struct sb_config config;
    char *strategy, *handler_name;
    pid_t owner, process;           /* who created it, and who runs here; process 0: fork's child, whose slot the parent
                                     * has signed */

    const struct sb_class *classes[MAX_CLASSES];    /* overrides and strategies, then the base; family left out */
    const char *arguments[MAX_CLASSES];             /* inside strategy_words */
    struct sb_class supers[MAX_CLASSES];            /* supers[i]: classes[i..] resolved; supers[0]: the server's own */
    void *states[MAX_CLASSES];
    unsigned n_classes, traits;                     /* traits: of all classes together */
    char *strategy_words;
    const struct sb_class *const *family;           /* the type's own family: a suffix of its list, or NULL */

    struct handler_state handlers[MAX_HANDLERS];
    unsigned n_handlers;
    size_t instance_size;
    struct sb_framing framing;      /* of sb_recv_message and sb_send_message */

    struct sb_listener **listeners;
    unsigned n_listeners;
    bool sockets_block;             /* though the strategy yields: it waits for them by other means */
    bool forks_requests;            /* a class forks for each request: accept loops have children */
    unsigned loops;                 /* accept loops in all: prefork's workers times prethread's */
    unsigned slots;                 /* workers with a slot of their own, beside max_connections */
    int channel[2];                 /* pass: workers read descriptors from [0], the parent writes to [1]; -1: none */
    int lock_fd;                    /* flock: a file to lock, reopened by each loop; -1: none */

    struct sb_wakeup stop;          /* ends the loops of all processes */
    struct sb_wakeup cut;           /* ends what still waits when the drain is over */
    struct sb_wakeup room;          /* this process: a place has become free while a loop waits for one */
    struct sb_wakeup retire;        /* this process: ends its loops after max_requests; -1 elsewhere */
    struct sb_wakeup notice;        /* prefork: a worker retires while it still has requests; -1 elsewhere */
    int children_fd;                /* epoll of the children's pidfds: readable when one can be reaped; -1: none yet */
    bool serves_in_main;            /* the serving thread is the main thread of its process */
    bool children_ended;            /* the loop has seen children_fd readable: service_actions reaps */
    sigset_t handled;               /* signals with a handler of the program's when serving began */

    int limit;                      /* most requests at once in this process */
    atomic_int inflight;            /* requests, and places reserved by loops: at most limit */
    atomic_int waiting_for_room;
    struct sb_slot *process_slot;   /* of a forked worker: the one its parent claimed for it */
    atomic_int accepts_left;        /* prefork's worker, if `retire` is made: until it retires */
    atomic_int references;          /* the owner, each request, each thread: the last one frees */
    struct sb_helpers *helpers;     /* threads of sb_offload(), once one is needed; made under lock */
    atomic_bool held_up;            /* a handler has held up a loop of fibers: said once */
    atomic_bool shortage;           /* of descriptors, memory, threads or processes: said once */
    _Atomic int64_t drain_deadline_ns;  /* of requests in a loop that must end; 0: not yet set */

    pthread_mutex_t lock;           /* guards requests and the closing of their descriptors, serving, servings, and the
                                     * state of thread */
    pthread_cond_t changed;         /* broadcast when requests gets empty, serving ends, the last thread has ended */
    struct sb_request *requests;    /* every request alive in this process */
    bool serving, closed;
    unsigned servings;              /* how many have ended */

    struct sb_scoreboard *board;
    size_t board_size;
    int board_fd;
    atomic_uint slot_hint;
};

/* What a fiber waits for (fiber/loop.h). */
struct sb_watch {
    struct sb_task *task;           /* who waits, or NULL */
    uint32_t registered;            /* with the engine, for these events */
    short awaited, ready;           /* poll(2)'s; ready: came, and nobody waited */
    bool holds;                     /* of a request that is not yet on a fiber */

    bool starved;                   /* io_uring: there was no buffer to receive into */
    bool receives, ended, left;     /* a receive is under way; `end` is known; the sockets' calls again */
    uint16_t first, last, n_queued; /* buffers with what nobody has read yet */
    int end;                        /* what a receive returns behind them: 0 or -errno */
};

/* How a request's bytes come and go, where not by recv(2) and send(2): as those, but -errno, and within the
 * deadline. */
struct sb_io {
    ssize_t (*recv)(struct sb_request *request, void *buffer, size_t size, int64_t deadline_ns);
    ssize_t (*send)(struct sb_request *request, const void *buffer, size_t size, int64_t deadline_ns);
};

struct sb_request {
    struct sb_listener *listener;
    struct sb_server *server;
    struct sb_request *next, **link;        /* server->requests */
    struct sb_slot *slot;
    int fd;                                 /* a datagram's: the listener's; -1 once closed */
    int timeout_ms;
    unsigned streak;                        /* receives and sends since the others had their turn */
    int why_error;
    char *why;                              /* of the error why_error, if the handler returns that; or NULL */
    bool datagram, saw_end, replied, in_loop;
    bool heard;                             /* a message was received */
    bool drained;                           /* the last receive came back short: the next will have to wait */
    bool late;                              /* the first receive's time is over before it began */
    const char *phase;                      /* setup, handle, finish: for handle_error */
    const struct sb_io *io;                 /* NULL: the sockets' calls */
    struct sb_watch watch;
    struct sb_request *held_next, **held_link;  /* not yet on a fiber (fiber/loop.h) */
    struct sb_timer held_timer;
    struct sb_address client;
    char *client_name;
    char *instance;
    FILE *rfile, *wfile;
    char *rbuffer, *wbuffer;                /* of these, where a handler chose the size */
    char *input;                            /* stream: sb_readline's buffer; datagram: the packet */
    size_t input_begin, input_end;
    char *reply;                            /* datagram: what finish sends */
    size_t reply_size;
};

static inline const struct sb_class *methods(const struct sb_server *server)
{
    return &server->supers[0];
}

static inline bool sb_server_stopping(const struct sb_server *server)
{
    return __atomic_load_n(&server->board->stopping, __ATOMIC_ACQUIRE);
}

/* A worker of prefork that has had its max_requests. */
static inline bool sb_server_retiring(const struct sb_server *server)
{
    return server->retire.fd >= 0 && atomic_load_explicit(&server->accepts_left, memory_order_relaxed) <= 0;
}

/* Whether -v wants lines; asked before any is formatted on a hot path. */
static inline bool sb_server_is_verbose(const struct sb_server *server)
{
    return server->config.log_level >= SB_LOG_DEBUG;
}

/* Closes what is open, and forgets it. */
static inline void sb_fd_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* The kernel's limit for each receive and send; -1: none, 0, which is "none" to the kernel: the shortest. Does nothing
 * but setsockopt(2), so it is async-signal-safe (signal-safety(7)). */
int sb_fd_settimeout(int fd, int timeout_ms);

int64_t sb_now_ns(void);                            /* CLOCK_MONOTONIC */
int64_t sb_coarse_now_ns(void);                     /* CLOCK_MONOTONIC_COARSE: some milliseconds late, but cheap */
int64_t sb_deadline_ns(int timeout_ms);             /* from now; NEVER for -1 */
int sb_remaining_ms(int64_t deadline_ns);           /* for poll(2): rounded up, -1 for NEVER */

/* A request in the server's books; the place was reserved by the loop. It takes fd over, a connection unless
 * packet_size, the room for a datagram, is not 0. NULL: out of memory, fd is still the caller's. */
struct sb_request *sb_request_new(struct sb_listener *listener, int fd, size_t packet_size);

/* Undoes sb_request_new() where nothing came; the place stays reserved. */
void sb_request_discard(struct sb_request *request);

/* One of `limit` places is free again; a loop that waits for it is woken. */
void sb_server_release_place(struct sb_server *server);

/* Runs setup, handle and finish of the composed handler (handler.c): the base's finish_request. */
int sb_handlers_run(struct sb_request *request);

/* Reads and checks the options, the composition and the traits. Logs the reason. */
int sb_handlers_init(struct sb_server *server, const struct sb_handler *const *handlers);
int sb_handlers_check_address(struct sb_server *server, const struct sb_listener *listener);
void sb_handlers_finish(struct sb_server *server);

/* The traits that all handlers of the list have, and the timeout of the leftmost that sets one, else 0. */
unsigned sb_handlers_common_traits(const struct sb_server *server);
int sb_handlers_timeout_ms(const struct sb_server *server);

/* Receives into the empty input of a stream; returns how much, 0 at the end, or -errno. */
ssize_t sb_request_fill_input(struct sb_request *request);

/* Ends the threads of sb_offload(). */
void sb_helpers_end(struct sb_server *server);

/* What the stream classes do before setup and after finish (request.c). */
int sb_request_begin(struct sb_request *request, int timeout_ms, bool nodelay);
int sb_request_flush(struct sb_request *request);

/* The line of -v, with control characters made harmless. */
void sb_request_log_received(struct sb_request *request, const char *data, size_t size);

/* Resolves type and config.strategy into classes, supers and states (class.c). Logs the reason. */
int sb_classes_init(struct sb_server *server, const struct sb_class *const *type);
int sb_classes_start(struct sb_server *server);
void sb_classes_finish(struct sb_server *server);

/* The family list for a scheme, and one resolved into a table. */
const struct sb_class *const *sb_family_find(const char *scheme);
void sb_class_resolve(const struct sb_class *const *list, unsigned n, struct sb_class *ret_table);

/* BaseServer: the end of every list. */
extern const struct sb_class sb_base_class, sb_serial_class;

/* What still uses the server when its owner destroys it holds a reference; the last frees it. */
void sb_server_ref(struct sb_server *server);
void sb_server_unref(struct sb_server *server);

/* How long running requests have: config.drain_timeout_ms, and without limit (-1) in a worker that retires. */
int sb_server_drain_ms(const struct sb_server *server);

/* The two lines of a drain. */
void sb_server_log_drain(struct sb_server *server, unsigned left);
void sb_server_log_cut(struct sb_server *server, unsigned left);

/* Waits for this process's requests until then, and cuts them off. */
void sb_server_drain(struct sb_server *server);
/* Whether no request is alive in this process. */
bool sb_server_is_idle(struct sb_server *server);

/* In a forked child: the requests and loops of the parent are not ours. `own`: the one request that is, in a child that
 * will not serve others and so needs nothing of its own (each system call here is one for each request); or NULL. */
int sb_server_adopt(struct sb_server *server, struct sb_request *own);

struct sb_gate;

/* BaseServer's part in any accept loop (base.c). work: runs body with a gate, and a slot on the scoreboard unless the
 * thread has one. dispatch: verify_request and process_request; -errno when no worker could be started for it. */
int sb_base_work(struct sb_server *server, int (*body)(struct sb_gate *gate));
int sb_base_dispatch(struct sb_gate *gate, struct sb_request *request);

/* BaseServer.handle_request (base.c), between the server's begin and end of serving. */
int sb_base_handle_request(struct sb_server *server);

/* Closes the descriptors; and removes the file of a Unix socket, in the process that made it. */
void sb_listener_close(struct sb_listener *listener);
void sb_listener_unlink(struct sb_listener *listener);

/* Both, and the memory. */
void sb_listener_free(struct sb_listener *listener);

#endif
