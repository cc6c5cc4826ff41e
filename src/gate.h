/* A gate is one accept loop's way to the next request, by the server's discipline. Private. */
#ifndef GATE_H
#define GATE_H

#include <signal.h>
#include <sys/epoll.h>
#include "objects.h"

enum sb_gate_role {
    SB_GATE_WORKER,         /* takes requests and handles them */
    SB_GATE_SUPERVISOR,     /* looks after workers; under `pass` it takes requests for them */
};

/* What an epoll event of a gate stands for: one of these, or a listener's index. */
enum sb_gate_source {
    SB_SOURCE_STOP = 0x10000, SB_SOURCE_CHILDREN, SB_SOURCE_RETIRE, SB_SOURCE_NOTICE, SB_SOURCE_CHANNEL,
    SB_SOURCE_CUT, SB_SOURCE_ROOM,
};

/* Of how many callers at most one that retires may have been told alone. */
enum { SB_OWED_MAX = 16 };

struct sb_gate {
    struct sb_server *server;
    enum sb_gate_role role;
    struct sb_slot *slot;       /* the loop's */
    struct sb_book *book;       /* of the loop: its requests, and its place for the next one */
    int epoll_fd;
    unsigned fruitless;         /* looks in a row that were called for and found nothing */
    int64_t failing_ns, failed_ns;  /* since when it fails, not for want of something; when it did last */
    int lock_fd;                /* flock: an open file description of its own; -1: none */
    unsigned sources;           /* listeners, or the channel, that it watches */
    sigset_t mask;              /* of the loop's thread: a handler may leave another behind */
    bool hot;                   /* the only source had a request last time, handled here: another may wait by now */
    struct epoll_event events[16];
    int n_events, next_event;
    bool accepts;               /* as the scoreboard shows it */
    bool owes;                  /* it was told of callers, perhaps alone, and has not looked */
    bool closing;               /* a stop was seen: who is there already is taken, */
    int last_calls;             /* at most so many */
    bool muted;                 /* of a loop that waits by other means (fiber/gate_poll.h): sees no listener now */
    bool watches_room;          /* muted, and told when there is a place */
    bool cut;                   /* of that too: its requests shall end */
    bool leaves_streams;        /* that loop accepts connections itself */
};

/* Errors: -EMFILE and the like; the gate is then closed. */
int sb_gate_open(struct sb_gate *gate, struct sb_server *server, enum sb_gate_role role);
void sb_gate_close(struct sb_gate *gate);

/* The next request within timeout_ms (-1: without limit): 1, or 0 when there was none, or when a child or a retiring
 * worker wants attention. -ECANCELED: the loop shall end; after a stop, when it has taken all who had been there
 * before, or when the drain is over. What else fails is logged once and waited out here, for it may work again; the
 * error only when that takes too long. The caller owns *ret_request. */
int sb_gate_next(struct sb_gate *gate, int timeout_ms, struct sb_request **ret_request);

/* Stops accepting for a moment, after a request could not be given to a thread or child. */
void sb_gate_pause(struct sb_gate *gate);

/* `what` failed: said once. 0: it is to be tried again, after a pause; or the error, when nothing has run out and it
 * has failed for too long: the loop shall end, for its worker or the whole server may have to be started anew. */
int sb_gate_fails(struct sb_gate *gate, const char *what, int error);

/* A look that was called for has found nothing. The kernel may say so again and again: then the loop pauses, too. */
void sb_gate_tire(struct sb_gate *gate);

/* What a gate is made of. watch: one more descriptor, if it is one, as a source; watch_sources: the listeners or the
 * channel, as far as it takes requests. take: a request from such a source: 1, -EAGAIN: none, or -errno. take_waiting:
 * one of the last calls of a gate that is closing; -ECANCELED: there are no more. reads_channel: whether others accept
 * for it. is_told_of_callers: whether there are any whom it has not looked for yet. must_end: whether its loop shall
 * end; what a batch has taken already is served. */
int sb_gate_watch(struct sb_gate *gate, int fd, uint32_t events, uint32_t source);
int sb_gate_watch_sources(struct sb_gate *gate);
int sb_gate_take(struct sb_gate *gate, uint32_t source, struct sb_request **ret_request);
int sb_gate_take_waiting(struct sb_gate *gate, struct sb_request **ret_request);
bool sb_gate_reads_channel(const struct sb_gate *gate);
bool sb_gate_is_told_of_callers(const struct sb_gate *gate);
bool sb_gate_must_end(struct sb_gate *gate);

/* For others to see: a loop that accepts connections itself has ended, and none of its accepts is under way. */
void sb_gate_show_end(struct sb_gate *gate);

#endif
