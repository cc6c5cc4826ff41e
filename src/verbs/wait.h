/* The only place where a handler's thread of control may stop: try, then wait. Private. */
#ifndef VERBS_WAIT_H
#define VERBS_WAIT_H

#include "../ground/clock.h"
#include "../objects.h"

/* Receives and sends that one request may do before the others have their turn. */
#define STREAK_MAX 64

/* The strategy's wait (class.h). */
static inline int sb_wait(struct sb_request *request, int fd, short events, int64_t deadline_ns)
{
    return methods(request->server)->wait(request, fd, events, deadline_ns);
}

static inline bool sb_yields(const struct sb_request *request)
{
    return request->server->traits & SB_YIELDS;
}

/* A caller who is always ready must not keep the others waiting, where all share a thread. */
static inline void sb_give_way(struct sb_request *request)
{
    if (sb_yields(request) && ++request->streak == STREAK_MAX) {
        request->streak = 0;
        sb_wait(request, -1, 0, 0);
    }
}

/* When the operation that has just entered its state on the scoreboard is over: that has read the clock already. */
static inline int64_t sb_operation_deadline_ns(const struct sb_request *request)
{
    if (request->timeout_ms < 0)
        return NEVER;
    return request->slot->since_ns + request->timeout_ms * INT64_C(1000000);
}

/* A loop that was asked to end still handles this request itself: nobody else is there to cut it off, so it must not
 * block in the kernel, but wait, which ends with the drain. */
static inline bool sb_is_ending(const struct sb_request *request)
{
    return request->in_loop && sb_signals_stopping(&request->server->signals);
}

/* What a call on the socket means that did not succeed: 0 try again, or the error to return. failures: how often that
 * has been so, for this one; where it is so again and again the request takes its time. */
int sb_wait_after_failure(struct sb_request *request, short events, int64_t deadline_ns, int error,
                          unsigned *failures);

/* A pause: 0, or -errno. */
int sb_pause(struct sb_request *request, int milliseconds);

#endif
