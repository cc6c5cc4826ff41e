/* A program's view: make a server, run it, stop it.
 *
 *     struct sb_server *server;
 *     if (sb_server_create(sb_threading_tcp_server, "127.0.0.1:9999", SB_HANDLERS(&upper), NULL, &server) < 0)
 *         return 1;                            // the reason is on stderr
 *     sb_server_serve_forever(server);
 *     sb_server_destroy(server);
 */
#ifndef SWITCHBOARD_SERVER_H
#define SWITCHBOARD_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <switchboard/class.h>
#include <switchboard/handler.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct sb_server;
struct sb_generation;

/* How the workers of prefork and prethread share a listener (UNP, chapter 30). */
enum sb_discipline {
    SB_ACCEPT_SHARED,       /* each waits on it, the kernel wakes one */
    SB_ACCEPT_MUTEX,        /* one at a time, by a process-shared robust mutex */
    SB_ACCEPT_FLOCK,        /* one at a time, by flock(2) */
    SB_ACCEPT_PASS,         /* the parent accepts and passes the descriptor over a Unix socket (SCM_RIGHTS) */
    SB_ACCEPT_REUSEPORT,    /* a listener for each, the kernel spreads the connections (SO_REUSEPORT) */
};

/* "shared", "mutex", ... to a discipline, or -EINVAL; and back. */
int sb_discipline_parse(const char *name);
const char *sb_discipline_name(enum sb_discipline discipline);

enum sb_log_level { SB_LOG_ERROR, SB_LOG_WARNING, SB_LOG_INFO, SB_LOG_DEBUG };

/* Settings, socketserver's names where it has one. Start from SB_CONFIG_DEFAULTS. Strings are copied. */
struct sb_config {
    const char *strategy;       /* a list put behind the type's own classes: "prefork:4+pool:16"; NULL: none */
    enum sb_discipline accept;
    bool force;                 /* run a handler under a strategy that its traits forbid */
    int request_queue_size;     /* listen(2)'s backlog */
    bool allow_reuse_address;   /* SO_REUSEADDR, TCP only */
    bool allow_reuse_port;      /* SO_REUSEPORT */
    bool disable_nagle_algorithm;   /* TCP_NODELAY for every connection */
    int max_packet_size;        /* bytes of a datagram, at most 65535; a longer one is cut, counted and logged */
    int max_connections;        /* requests at once; prefork's workers share them out; at the limit nobody polls; under
                                 * reuseport at least one for each worker */
    int queue_size;             /* of pool: requests accepted and waiting for a worker */
    int max_children;           /* of fork: children at once */
    int max_requests;           /* of prefork: a worker is replaced after this many, plus up to an eighth; 0: never. Up
                                 * to as many as there are workers may be finishing requests beside their successors */
    int stack_size;             /* of fiber: bytes for each, rounded up to pages */
    int spin_us;                /* of fiber: how long a loop looks again before it sleeps; 0: not */
    int trace;                  /* events that the trace's ring holds at least (scoreboard.h), up to 1000000; 0: none */
    int poll_interval_ms;       /* the longest between two service_actions, where a class has them */
    int timeout_ms;             /* of handle_request; -1: none */
    int idle_timeout_ms;        /* of each operation of a handler that sets none; -1: none, 0: the shortest */
    int drain_timeout_ms;       /* how long close waits for what runs; then it is cut off; -1: without limit */
    bool block_on_close;        /* false: close does not wait */
    bool daemon_threads;        /* true: close does not wait for threads; what they use is freed by the last of them */
    int socket_mode;            /* permissions of a Unix socket's file, up to 0777, in force as soon as somebody could
                                 * come in; -1: 0777 without the umask, or with a group 0660 */
    int socket_group;           /* its group; -1: as files there have it. What exists already is left as it is */
    const char *const *options; /* "key=value" or "handler.key=value", NULL-terminated; NULL: none */
    struct sb_generation *generation;   /* it serves for a supervisor (generation.h): takes over the sockets of the same
                                 * addresses, and tells that it is ready, or why it is not; NULL: for itself */
    void *data;                 /* the program's own, see sb_server_data() */
    void (*ready)(void *data);  /* called once in each serve_forever and handle_request, when a first loop can take a
                                 * call; in the process that serves, any thread; NULL: not */
    enum sb_log_level log_level;
    void (*log)(void *data, enum sb_log_level level, const char *text);  /* any thread; NULL: a line on stderr */
};
#define SB_CONFIG_DEFAULTS {                                                                               \
    .strategy = NULL, .accept = SB_ACCEPT_SHARED, .force = false, .request_queue_size = 4096,             \
    .allow_reuse_address = true, .allow_reuse_port = false, .disable_nagle_algorithm = false,             \
    .max_packet_size = 65535, .max_connections = 1000, .queue_size = 128, .max_children = 256,            \
    .max_requests = 0, .stack_size = 65536, .spin_us = 0, .trace = 0, .poll_interval_ms = 500,            \
    .timeout_ms = -1, .idle_timeout_ms = -1, .drain_timeout_ms = 5000, .block_on_close = true,            \
    .daemon_threads = false, .socket_mode = -1, .socket_group = -1, .options = NULL, .generation = NULL,   \
    .data = NULL, .ready = NULL, .log_level = SB_LOG_INFO, .log = NULL }

/* Makes a server: resolves the list, checks the handlers, binds and activates the address (address.h). What fails is
 * logged in one sentence, everything made so far is undone, and -errno returned:
 * -EINVAL a senseless list, option or address, or a handler refused by its traits, -ENAMETOOLONG a path; -ENOEXEC a
 * plugin that is none; or bind's and listen's own.
 *
 * address: NULL: none yet; sb_server_listen() or sb_server_handle_connection() will bring one.
 * type: a list; its family is what an address without a scheme means, and must match one with a scheme; NULL: plain,
 * the address's scheme decides. handlers: SB_HANDLERS(&upper). config: NULL is SB_CONFIG_DEFAULTS.
 * The list of the type, and the tables behind both lists, must outlive the server; the list of handlers is
 * copied. *ret_server is the caller's: sb_server_destroy(). */
int sb_server_create(const struct sb_class *const *type, const char *address, const struct sb_handler *const *handlers,
                     const struct sb_config *config, struct sb_server **ret_server);

/* One more address for the same server, of any family. Before it serves. Logs and returns as sb_server_create().
 * There and here, a name with several addresses is all of them: a listener for each, with the same port, also where the
 * kernel chooses it (but with another where that one is taken). Addresses of a family that this machine does not have
 * (-EADDRNOTAVAIL, -EAFNOSUPPORT) are passed over as long as one is bound; any other failure undoes them all.
 * "fd://N": a socket that the process has already, one that listens or a bound datagram socket; its family and type are
 * read from it. With success it is the server's, non-blocking and close-on-exec, and closed with the others; the file
 * of a Unix socket stays. Other servers may listen at the same socket. -EBADF: not open; -EINVAL: no such socket, or
 * under SB_ACCEPT_REUSEPORT, which binds its own. */
int sb_server_listen(struct sb_server *server, const char *address);

/* Serves until a stop is asked for; who was connected before that is still taken, within the drain timeout, as the
 * backlog may be closed next. Returns 0, or -errno when the strategy could not start (logged), -EBUSY while it serves
 * already or after close. The listeners stay open, and it may be called again. One call at a time. */
int sb_server_serve_forever(struct sb_server *server);

/* One request through the strategy's process_request, within config.timeout_ms: 1, 0 after handle_timeout or a stop,
 * or -errno as above; -EINVAL under reuseport, where each worker has a listener of its own. */
int sb_server_handle_request(struct sb_server *server);

/* A connection that somebody else has accepted (inetd(8)): serves it through the strategy's process_request, within
 * whose close it is waited for. With success it is the server's, else still the caller's. 0, or -errno as above; -EINVAL:
 * no connected stream socket, or not of the server's type. */
int sb_server_handle_connection(struct sb_server *server, int fd);

/* Asks the loop to end; does not wait. From any thread, from a handler, from a signal handler; before serve_forever
 * (which then ends as soon as it has taken who is there) and twice. */
void sb_server_stop(struct sb_server *server);

/* The same, for a server that has a successor at its sockets: what runs may take as long as it needs, until
 * sb_server_stop_now(). */
void sb_server_retire(struct sb_server *server);

/* sb_server_stop(), and nobody is waited for: what runs, or is being waited for already, is cut off as at the drain
 * deadline. Of the serving that runs, or of the close after it. */
void sb_server_stop_now(struct sb_server *server);

/* sb_server_stop(), and waits until the loop has ended; requests that the loop itself handles are cut off when the
 * drain deadline has passed. From a handler it does not wait, for the loop may be waiting for that handler. */
void sb_server_shutdown(struct sb_server *server);

/* Closes the listeners, waits for what runs (see block_on_close, drain_timeout_ms), then cuts it off. Twice is once. */
void sb_server_close(struct sb_server *server);

/* Closes and frees; NULL is allowed. */
void sb_server_destroy(struct sb_server *server);

/* The first listening descriptor, -1 after close. */
int sb_server_fileno(const struct sb_server *server);

/* server_address of the n-th address as text, "tcp://127.0.0.1:43211"; NULL behind the last. Owned by the server. */
const char *sb_server_address(const struct sb_server *server, unsigned n);

/* config.data. */
void *sb_server_data(const struct sb_server *server);

/* A handler's name as composed, "auth+upper". */
const char *sb_server_handler_name(const struct sb_server *server);

/* A line for the server's log; dropped when level is above config.log_level. Any thread. */
void sb_server_log(const struct sb_server *server, enum sb_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Plugins. Finds `name` in the directories of path (NULL-terminated), or loads it as a file when it has a slash.
 * The plugin stays loaded. A class is always named by its file. Failure: -ENOENT, -EACCES, -ENOEXEC (not a plugin, or
 * for another ABI), the reason in ret_why, a malloc'd sentence that the caller frees, or NULL without memory. */
int sb_plugin_load_handler(const char *name, const char *const *path, const struct sb_handler **ret_handler,
                           char **ret_why);
int sb_plugin_load_class(const char *file, const struct sb_class **ret_class, char **ret_why);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
