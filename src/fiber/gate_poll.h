/* The gate of a loop that waits by other means for what the gate's epoll_fd, and what is in it, has to tell.
 * Private. */
#ifndef FIBER_GATE_POLL_H
#define FIBER_GATE_POLL_H

#include "../gate.h"

/* Makes a gate one of this kind, before it is used. */
int sb_gate_prepare(struct sb_gate *gate);

/* An event of the gate's own, found in epoll_fd. */
void sb_gate_tell(struct sb_gate *gate, const struct epoll_event *event);

/* Whether sb_gate_poll() may find something. */
bool sb_gate_pending(const struct sb_gate *gate);

/* The next request without waiting, 1; 0: there is none, -EBUSY: no place for it, -ECANCELED: the loop shall end, or
 * -errno. */
int sb_gate_poll(struct sb_gate *gate, struct sb_request **ret_request);

/* Looks away from the listeners, or back at them. mute: -errno: nothing will tell when there is a place again. unmute:
 * -errno: it still looks away. has_room: whether there is a place again; asked when muted. */
int sb_gate_mute(struct sb_gate *gate);
int sb_gate_unmute(struct sb_gate *gate);
bool sb_gate_has_room(struct sb_gate *gate);

/* The loop is about to sleep: a place that it has reserved is there for the others. */
void sb_gate_rest(struct sb_gate *gate);

/* The loop ends, and only its requests matter. */
void sb_gate_end(struct sb_gate *gate);

/* Whether such a loop may accept connections itself: where it shares the listeners with no other, and no class
 * overrides get_request. Then the gate no longer looks at them, and admit makes a request of each: 0, -EBUSY: no place
 * for it, or -ENOMEM; fd is then still the caller's. */
bool sb_gate_leave_streams(struct sb_gate *gate);
int sb_gate_admit(struct sb_gate *gate, unsigned listener, int fd, struct sb_request **ret_request);

/* One of those who wait at such a listener: 1; -EAGAIN: nobody does, -EBUSY: no place, or -errno. */
int sb_gate_take_stream(struct sb_gate *gate, struct sb_request **ret_request);

#endif
