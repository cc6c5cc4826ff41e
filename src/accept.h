/* How workers share a listener: a gate is one accept loop's way to the next request, by the server's discipline.
 * Private. */
#ifndef ACCEPT_H
#define ACCEPT_H

#include <sys/epoll.h>
#include "objects.h"

enum sb_gate_role {
    SB_GATE_WORKER,         /* takes requests and handles them */
    SB_GATE_SUPERVISOR,     /* looks after workers; under `pass` it takes requests for them */
};

struct sb_gate {
    struct sb_server *server;
    enum sb_gate_role role;
    int epoll_fd;
    int lock_fd;                /* flock: an open file description of its own; -1: none */
    bool reserved;              /* holds one of the server's places */
    unsigned sources;           /* listeners, or the channel, that it watches */
    bool hot;                   /* the only source had a request last time, handled here: another may wait by now */
    struct epoll_event events[16];
    int n_events, next_event;
};

/* Errors: -EMFILE and the like; the gate is then closed. */
int sb_gate_open(struct sb_gate *gate, struct sb_server *server, enum sb_gate_role role);
void sb_gate_close(struct sb_gate *gate);

/* The next request within timeout_ms (-1: without limit): 1, or 0 when there was none, or when a child or a retiring
 * worker wants attention. -ECANCELED: the loop shall end. A shortage of descriptors or memory is logged once and waited
 * out here. The caller owns *ret_request. */
int sb_gate_next(struct sb_gate *gate, int timeout_ms, struct sb_request **ret_request);

/* Stops accepting for a moment, after a request could not be given to a thread or child. */
void sb_gate_pause(struct sb_gate *gate);

/* pass: makes the channel, gives a request's descriptor to a worker (and consumes the request), tells the workers that
 * no more will come, and closes it when they have ended. A worker in a process of its own leaves the writing end to its
 * parent. */
int sb_channel_open(struct sb_server *server);
void sb_channel_send(struct sb_server *server, struct sb_request *request);
void sb_channel_end(struct sb_server *server);
void sb_channel_leave(struct sb_server *server);
void sb_channel_close(struct sb_server *server);

/* What the mutex and flock disciplines lock, made once for the whole server. */
int sb_discipline_init(struct sb_server *server);

/* Says once that something has run out (`what` happened because of `error`), and once that it is over. */
void sb_shortage_begins(struct sb_server *server, const char *what, int error);
void sb_shortage_ends(struct sb_server *server);

#endif
