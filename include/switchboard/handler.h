/* The handler author's view: what a plugin exports.
 *
 * A handler serves one request at a time with setup, handle and finish, as socketserver's BaseRequestHandler does.
 * Its verbs (sb_recv, sb_sendall, ...) are in request.h. A whole plugin:
 *
 *     #include <switchboard/switchboard.h>
 *     static int handle(struct sb_request *request) { return sb_printf(request, "hello\n"); }
 *     SB_HANDLER(.name = "hello", .summary = "says hello", .handle = handle);
 */
#ifndef SWITCHBOARD_HANDLER_H
#define SWITCHBOARD_HANDLER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct sb_request;
struct sb_server;

/* Grows when a plugin built for an older one could not be served correctly. New members only ever come last. */
#define SB_ABI_VERSION 1

/* What a handler cannot bear. A server whose strategy or address asks for it is refused, unless forced. */
enum sb_handler_trait {
    SB_NOT_THREAD_SAFE = 1 << 0,    /* touches shared state without a lock: not where handlers share memory, at once or
                                     * in turns */
    SB_KEEPS_STATE = 1 << 1,        /* its memory must outlive a request: not where each worker is a process */
    SB_BLOCKS = 1 << 2,             /* stops its thread other than by request.h's verbs: not where requests share it */
    SB_STREAM_ONLY = 1 << 3,        /* needs a connection: not on udp and unixgram */
    SB_DATAGRAM_ONLY = 1 << 4,      /* needs datagrams: not on tcp and unix */
    SB_LOCAL_ONLY = 1 << 5,         /* dangerous in the hands of strangers: on loopback and Unix sockets; elsewhere only
                                     * behind a handler with SB_AUTHENTICATES, and forced */
    SB_SENDS_LINES = 1 << 8,        /* refused under the framing `line`: its messages have newlines */
    SB_CALLER_FIRST = 1 << 7,       /* not a weakness: it does nothing before the caller's first bytes are there */
    SB_AUTHENTICATES = 1 << 6,      /* not a weakness: its setup fails for callers it does not know */
};

/* An option is text KEY=VALUE, checked before anything is bound and stored in the handler's options block. */
enum sb_option_type {
    SB_OPTION_LONG,         /* long: decimal, within [min, max] */
    SB_OPTION_BOOL,         /* bool: yes, no, true, false, on, off, 1, 0 */
    SB_OPTION_STRING,       /* const char *: owned by the server, valid as long as it is */
    SB_OPTION_FRAME,        /* no field: the framing of sb_recv_message() and sb_send_message(), as text (frame.h) */
};

struct sb_option {
    const char *name;           /* NULL ends the list */
    enum sb_option_type type;
    size_t offset;              /* of its field in the options block: offsetof() */
    const char *value;          /* the default, as text; NULL: 0, false, or a NULL string */
    long min, max;              /* SB_OPTION_LONG only; both 0: any */
    const char *help;           /* one line, with the unit */
};

/* The row of a handler's option table that lets its messages be framed. */
#define SB_FRAME_OPTION                                                                                    \
    { .name = "frame", .type = SB_OPTION_FRAME, .value = "none",                                          \
      .help = "framing: none, text2, text8, ready, i32, u32, line or netstring" }

struct sb_handler {
    uint32_t abi_version;       /* set by SB_HANDLER */
    uint32_t struct_size;       /* set by SB_HANDLER */
    const char *name;           /* one word, mandatory */
    const char *summary;        /* one line for `switchboard list` */
    unsigned traits;            /* enum sb_handler_trait */
    size_t instance_size;       /* bytes of state for each request, zeroed: sb_instance() */
    size_t options_size;        /* bytes of the options block: sb_options() */
    const struct sb_option *options;

    /* Each returns 0, or -errno, which handle_error then reports. All run in the thread or process that the
     * strategy gave the request. NULL inherits from the handler behind this one, in the end a function that does
     * nothing; some handler of the list must have handle.
     * If setup fails neither handle nor finish runs; finish runs even when handle failed.
     * A thread's stack has 256 KiB, a fiber's 64: put larger buffers into the instance or on the heap. */
    int (*setup)(struct sb_request *request);
    int (*handle)(struct sb_request *request);
    int (*finish)(struct sb_request *request);

    /* StreamRequestHandler's attributes. */
    int timeout_ms;                 /* for each operation; 0: the server's idle timeout, -1: none */
    int rbufsize;                   /* of rfile: 0 stdio's own choice (Python's -1), 1 unbuffered, n bytes */
    int wbufsize;                   /* of wfile: 0 unbuffered, each call one write; n bytes */
    int disable_nagle_algorithm;    /* not 0: TCP_NODELAY (on TCP only) */

    /* For the server, not for a request. configure: once, when the options are set and before an address is bound; it
     * may fill other fields of the options block. Returns 0, or -errno after sb_server_log(). release: once, before
     * the block is freed, when configure has returned 0. Either may be NULL; options is NULL without options_size. */
    int (*configure)(struct sb_server *server, void *options);
    void (*release)(void *options);
};

/* Exports a handler from a plugin: the one symbol the server looks up, also the name for sb_instance(). */
#define SB_HANDLER_SYMBOL "sb_handler"
extern const struct sb_handler sb_handler;
#define SB_HANDLER(...)                                                                                    \
    const struct sb_handler sb_handler = { .abi_version = SB_ABI_VERSION,                                 \
                                           .struct_size = sizeof(struct sb_handler), __VA_ARGS__ }

/* A list of handlers for sb_server_create(): leftmost wins, exactly as classes do. */
#define SB_HANDLERS(...) ((const struct sb_handler *const[]){ __VA_ARGS__, NULL })

/* The zeroed state of this request for the handler `self`, instance_size bytes; gone after finish. */
void *sb_instance(const struct sb_request *request, const struct sb_handler *self);

/* The checked options of `self`; read-only, shared by all requests. NULL when it declares none. */
const void *sb_options(const struct sb_request *request, const struct sb_handler *self);

/* Python's super(): the same method of the handlers behind `self`; 0 where none of them has it. */
int sb_super_setup(struct sb_request *request, const struct sb_handler *self);
int sb_super_handle(struct sb_request *request, const struct sb_handler *self);
int sb_super_finish(struct sb_request *request, const struct sb_handler *self);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
