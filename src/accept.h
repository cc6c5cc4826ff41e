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
    bool muted;                 /* of a loop that waits by other means: sees no listener now */
    bool cut;                   /* of that too: its requests shall end */
    bool leaves_streams;        /* that loop accepts connections itself */
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

/* For a loop that waits by other means for what the gate's epoll_fd, and what is in it, has to tell.
 *
 * tell: an event of the gate's own, found in epoll_fd. pending: poll may find something. poll: the next request without
 * waiting, 1; 0: there is none, -EBUSY: no place for it, -ECANCELED: the loop shall end; a shortage is logged once.
 * mute: looks away from the listeners, or back at them. has_room: whether there is a place again; asked when muted.
 * end: the loop ends, and only its requests matter. */
int sb_gate_prepare(struct sb_gate *gate);
void sb_gate_tell(struct sb_gate *gate, const struct epoll_event *event);
int sb_gate_poll(struct sb_gate *gate, struct sb_request **ret_request);
bool sb_gate_pending(const struct sb_gate *gate);
void sb_gate_mute(struct sb_gate *gate, bool mute);
bool sb_gate_has_room(struct sb_gate *gate);
void sb_gate_end(struct sb_gate *gate);

/* Whether such a loop may accept connections itself: where it shares the listeners with no other, and no class
 * overrides get_request. Then the gate no longer looks at them, and admit makes a request of each: 0, -EBUSY: no place
 * for it, or
 * -ENOMEM; fd is then still the caller's. */
bool sb_gate_leave_streams(struct sb_gate *gate);
int sb_gate_admit(struct sb_gate *gate, unsigned listener, int fd, struct sb_request **ret_request);

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

/* Whether an error (-errno) says that something has run out which may be there again later. */
bool sb_is_shortage(int error);

/* Says once that something has run out (`what` happened because of `error`), and once that it is over. */
void sb_shortage_begins(struct sb_server *server, const char *what, int error);
void sb_shortage_ends(struct sb_server *server);

#endif
