/* The strategy author's view: classes, their methods, and what is behind them.
 *
 * A class is a const table of methods with socketserver's names. A server type is a NULL-terminated list of classes,
 * leftmost wins; a NULL method is inherited from the next class of the list, in the end from BaseServer.
 *
 *     class ThreadingTCPServer(ThreadingMixIn, TCPServer): pass
 *     const struct sb_class *const sb_threading_tcp_server[] = { &sb_threading_mixin, &sb_tcp_class, NULL };
 */
#ifndef SWITCHBOARD_CLASS_H
#define SWITCHBOARD_CLASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <switchboard/handler.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct sb_server;
struct sb_request;

/* One bound address of a server. A server has one or several. */
struct sb_listener;

/* What a class asks of a handler, and the part it plays in a list. */
enum sb_class_trait {
    SB_CONCURRENT = 1 << 0,     /* handlers run at the same time in one memory */
    SB_FORKS = 1 << 1,          /* handlers run in processes of their own: what they write in memory is lost */
    SB_YIELDS = 1 << 2,         /* handlers share one thread; sockets are non-blocking, and waiting is `wait`'s */
    SB_LOOPS = 1 << 3,          /* overrides serve_forever: workers that each run the loop behind it */
    SB_DISPATCHES = 1 << 4,     /* overrides process_request: decides who handles a request */
    SB_FAMILY = 1 << 5,         /* an address family: tcp, udp, unix, unixgram */
    SB_DATAGRAM = 1 << 6,       /* a family without connections */
};

struct sb_class {
    const char *name;
    const char *summary;        /* one line for `switchboard list strategies` */
    unsigned traits;            /* enum sb_class_trait */
    size_t state_size;          /* bytes for sb_state(), zeroed; one block for each server */
    size_t request_size;        /* bytes for sb_request_state(), zeroed; one block in each request */
    int workers;                /* of a strategy that has a number of them (pool:8): how many where the list names no
                                 * number; else 0 */

    /* __init__, not inherited: called once for each class of a list, last class first, before anything is bound.
     * argument: the text behind the colon ("8" in pool:8), or NULL. Returns 0, or -errno after sb_server_log(). */
    int (*init)(struct sb_server *server, const char *argument);

    /* __del__, not inherited: called once before the state is freed, even when init failed or was never called; then
     * the state is still zeroed. */
    void (*finish)(struct sb_server *server);

    /* Begins what the state has of a process: threads, locks. Not inherited: called for each class, last class first,
     * after all init, and again in each worker process that has been forked and is about to serve: its states are
     * copies, in which the parent's threads are not there and its locks may be held for ever. */
    void (*begin)(struct sb_server *server);

    /* Methods of an address. Errors are -errno; the caller closes what is half made.
     * get_request: takes one waiting request without blocking; -EAGAIN when there is none. */
    int (*server_bind)(struct sb_listener *listener);
    int (*server_activate)(struct sb_listener *listener);
    int (*get_request)(struct sb_listener *listener, struct sb_request **ret_request);

    /* The loop: returns 0 when a stop was asked for, -errno when it could not run. */
    int (*serve_forever)(struct sb_server *server);

    /* Life of a request. verify_request and process_request run in the accept loop, the others where the handler does;
     * handle_error in the loop when process_request failed, and never for -ECANCELED, which is the server's own doing;
     * the base's says nothing but one line at SB_LOG_INFO when it was the caller who has left (-ECONNRESET, -EPIPE);
     * close_request also in the process that has given the connection away.
     * process_request: takes the request over when it returns 0, or 1, put off until what it needs is there again; on
     *     -errno the caller still has it, reports it through handle_error and ends it. The base handles it here, now.
     * finish_request: setup, handle, finish; 0 or the first error of the three.
     * shutdown_request: ends the talk and calls close_request; neither frees the request. */
    bool (*verify_request)(struct sb_request *request);
    int (*process_request)(struct sb_request *request);
    int (*finish_request)(struct sb_request *request);
    void (*shutdown_request)(struct sb_request *request);
    void (*close_request)(struct sb_request *request);
    void (*handle_error)(struct sb_request *request, int error);

    /* handle_timeout: handle_request() waited in vain. service_actions: after each turn of the loop, at least every
     * poll_interval_ms when some class has it. server_close: closes the listeners, waits for what runs. */
    void (*handle_timeout)(struct sb_server *server);
    void (*service_actions)(struct sb_server *server);
    void (*server_close)(struct sb_server *server);

    /* The one addition to socketserver's names: how this strategy waits. Returns the ready events of fd (-1: wait for
     * the deadline only), -ETIMEDOUT at deadline_ns (CLOCK_MONOTONIC, INT64_MAX: never), -ECANCELED at the end of the
     * drain. Neither fd nor time left: lets others go first. Called in the request's own thread of control. */
    int (*wait)(struct sb_request *request, int fd, short events, int64_t deadline_ns);
};

/* The resolved methods of the classes behind `self`, as Python's super(); of those that are inherited none is NULL. */
const struct sb_class *sb_super(const struct sb_server *server, const struct sb_class *self);

/* The state block of `self` in this server, zeroed at creation, or NULL where self is not in the list. */
void *sb_state(const struct sb_server *server, const struct sb_class *self);

/* The block of `self` in a request, zeroed when the request is made and gone with it; NULL where self is not in the
 * list, or asks for none. Costs the same however long the list is. */
void *sb_request_state(struct sb_request *request, const struct sb_class *self);

/* The text of this server's strategy list, "prefork:4+pool:16". Valid as long as the server. */
const char *sb_server_strategy(const struct sb_server *server);

struct sb_server *sb_listener_server(const struct sb_listener *listener);

/* The listening descriptor; the listener keeps it. */
int sb_listener_fileno(const struct sb_listener *listener);

/* Frees a request after close_request, in any thread. For strategies that take requests over (process_request). */
void sb_request_free(struct sb_request *request);

/* shutdown_request, then free: for a request that will not be handled. */
void sb_request_end(struct sb_request *request);

/* What a strategy's threads use when nobody waits for them: each that may outlive server_close holds a reference, and
 * the last of these and of the owner's own frees the server. */
void sb_server_ref(struct sb_server *server);
void sb_server_unref(struct sb_server *server);

/* A strategy with workers reads its count: argument as a number from 1 to max, fallback for NULL; logs and returns
 * -EINVAL otherwise. */
int sb_parse_count(struct sb_server *server, const struct sb_class *self, const char *argument, int fallback, int max);

/* The families and strategies in the box. */
extern const struct sb_class sb_tcp_class, sb_udp_class, sb_unix_stream_class, sb_unix_datagram_class;
extern const struct sb_class sb_threading_mixin, sb_forking_mixin, sb_pool_mixin, sb_prefork_mixin, sb_prethread_mixin;
extern const struct sb_class sb_fiber_mixin;

/* Python's twelve types, and the four families under the other strategies. */
extern const struct sb_class *const sb_tcp_server[], *const sb_udp_server[];
extern const struct sb_class *const sb_unix_stream_server[], *const sb_unix_datagram_server[];
extern const struct sb_class *const sb_threading_tcp_server[], *const sb_threading_udp_server[];
extern const struct sb_class *const sb_threading_unix_stream_server[], *const sb_threading_unix_datagram_server[];
extern const struct sb_class *const sb_forking_tcp_server[], *const sb_forking_udp_server[];
extern const struct sb_class *const sb_forking_unix_stream_server[], *const sb_forking_unix_datagram_server[];
extern const struct sb_class *const sb_pool_tcp_server[], *const sb_pool_udp_server[];
extern const struct sb_class *const sb_pool_unix_stream_server[], *const sb_pool_unix_datagram_server[];
extern const struct sb_class *const sb_prefork_tcp_server[], *const sb_prefork_udp_server[];
extern const struct sb_class *const sb_prefork_unix_stream_server[], *const sb_prefork_unix_datagram_server[];
extern const struct sb_class *const sb_prethread_tcp_server[], *const sb_prethread_udp_server[];
extern const struct sb_class *const sb_prethread_unix_stream_server[], *const sb_prethread_unix_datagram_server[];
extern const struct sb_class *const sb_fiber_tcp_server[], *const sb_fiber_udp_server[];
extern const struct sb_class *const sb_fiber_unix_stream_server[], *const sb_fiber_unix_datagram_server[];

/* The strategies by name, NULL-terminated, `serial` first (a class without methods: the base itself). */
extern const struct sb_class *const sb_strategies[];

/* Exports a strategy, or any override, from a plugin: `--strategy ./mine.so+thread`. */
#define SB_CLASS_SYMBOL "sb_plugin_class"
struct sb_plugin_class {
    uint32_t abi_version, struct_size;
    const struct sb_class *class_;
};
extern const struct sb_plugin_class sb_plugin_class;
#define SB_CLASS(class_table)                                                                              \
    const struct sb_plugin_class sb_plugin_class = { SB_ABI_VERSION, sizeof(struct sb_class), &(class_table) }

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
