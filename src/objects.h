/* The three objects of the library: a server, its listeners, and a request; and what they tell about themselves. A
 * server is made of parts: those that know nothing of servers lie in it, the others behind pointers, each declared by
 * the file that manages it. Private. */
#ifndef OBJECTS_H
#define OBJECTS_H

#include <errno.h>
#include <switchboard/switchboard.h>
#include "books.h"
#include "ground/log.h"
#include "pktinfo.h"
#include "shortage.h"
#include "signals.h"
#include "turn.h"
#include "worker.h"

struct sb_listener {
    struct sb_server *server;
    unsigned index;
    struct sb_class family;         /* resolved: get_request and the like of this address's own family */
    struct sb_address address;      /* as bound (getsockname) */
    char text[SB_ADDRESS_TEXT_SIZE];
    int fd;                         /* -1 once closed */
    bool tells_local;               /* datagrams at a wildcard say at which of our addresses they have come */
    unsigned call;                  /* of a generation's: which of its addresses (generation.h) */
    enum sb_origin {
        SB_BOUND,                   /* here, */
        SB_INHERITED,               /* fd://N: by somebody else, */
        SB_TAKEN_OVER,              /* or by the generation before, whose it was */
    } origin;
    bool further;                   /* more sockets of the address that the listener before it has */
    int *fds;                       /* reuseport: one for each loop of the server, fds[0] == fd, of a further listener
                                     * -1 where there are no more; else NULL */
    char *unlink_path;              /* a Unix socket's file that this process has to remove, or NULL */
    dev_t device;                   /* and which file that is, for another server may have put its own in the place */
    ino_t inode;
};

/* StreamRequestHandler's attributes: of the leftmost handler that sets each. */
struct sb_attributes {
    struct sb_framing framing;      /* of sb_recv_message and sb_send_message */
    int timeout_ms;                 /* 0: the server's idle timeout */
    int rbufsize, wbufsize;
    bool disable_nagle_algorithm;
    bool caller_first;              /* of all handlers: SB_CALLER_FIRST */
};

/* What the server was made with (registry.h). */
struct sb_registry;

struct sb_server {
    struct sb_config config;
    const struct sb_registry *registry;
    struct sb_log log;
    struct sb_shortage shortage;
    struct sb_crew crew;
    struct sb_signals signals;
    struct sb_turn turn;
    struct sb_books books;

    const struct sb_class *methods;     /* all classes, resolved */
    unsigned traits;                    /* of all of them together */
    bool forks_requests;                /* a class forks for each request: accept loops have children */
    bool sockets_block;                 /* though the strategy yields: it waits for them by other means */
    struct sb_attributes attributes;
    struct sb_classes *classes;
    struct sb_handlers *handlers;

    const struct sb_class *const *family;   /* the type's own: a suffix of its list, or NULL */
    struct sb_listener **listeners;
    unsigned n_listeners;
    int connection_fd;                  /* of sb_server_handle_connection(), while it runs */

    atomic_bool told_ready;             /* ready.h */
    struct sb_reaper *reaper;           /* children of this process (child.h) */
    struct sb_channel *channel;         /* pass; NULL: none */
    struct sb_helpers *_Atomic helpers; /* threads of sb_offload(), once one is needed */
    struct sb_life *life;               /* server.c's own */

    atomic_int references;              /* the owner, and each thread that may outlive it: the last one frees */
    void (*free)(struct sb_server *server);
};

/* How a request's bytes come and go, where not by recv(2) and send(2): as those, but -errno, and within the deadline.
 * A datagram's family has one: send takes the whole reply. */
struct sb_io {
    ssize_t (*recv)(struct sb_request *request, void *buffer, size_t size, int64_t deadline_ns);
    ssize_t (*send)(struct sb_request *request, const void *buffer, size_t size, int64_t deadline_ns);
};

/* What a request has that is a datagram. */
struct sb_datagram {
    struct sb_local local;                  /* where it came, if its listener tells it */
    char *reply;                            /* what finish sends */
    size_t reply_size;
    char packet[];
};

struct sb_request {
    struct sb_entry entry;                  /* in the books */
    struct sb_listener *listener;
    struct sb_server *server;
    struct sb_slot *slot;
    int fd;                                 /* a datagram's: the listener's; -1 once closed */
    int timeout_ms;
    unsigned streak;                        /* receives and sends since the others had their turn */
    int why_error;
    char *why;                              /* of the error why_error, if the handler returns that; or NULL */
    bool saw_end, replied, in_loop;
    bool heard;                             /* a message was received */
    bool drained;                           /* the last receive came back short: the next will have to wait */
    bool concealed;                         /* what is received is not for the log */
    bool late;                              /* the first receive's time is over before it began */
    bool left;                              /* its connection has told that the caller is gone */
    const char *phase;                      /* setup, handle, finish: for handle_error */
    const struct sb_io *io;                 /* NULL: the sockets' calls */
    struct sb_address client;
    char *client_name;
    char *instance;
    struct sb_streams *streams;             /* rfile and wfile, once asked for */
    struct sb_datagram *datagram;           /* NULL: a connection */
    char *input;                            /* sb_readline's buffer, or the packet */
    size_t input_begin, input_end;
    _Alignas(16) char class_states[];       /* what each class has for a request: sb_request_state() */
};

/* An error of the system's, said already: those that stand for misuse are no misuse where the kernel has them. */
static inline int sb_system_error(int error)
{
    return error == -EINVAL || error == -ENAMETOOLONG ? -EIO : error;
}

static inline const struct sb_class *methods(const struct sb_server *server)
{
    return server->methods;
}

#endif
