#include "wait.h"

#include <errno.h>
#include <poll.h>

/* Interrupted: what was there still is, so where requests share a thread it only lets the others go first. Either way
 * it has waited, and so heard of the end. */
static int after_interrupt(struct sb_request *request, short events, int64_t deadline_ns)
{
    if (deadline_ns != NEVER && sb_now_ns() >= deadline_ns)
        return -ETIMEDOUT;
    if (!sb_yields(request))
        return sb_wait(request, request->fd, events, deadline_ns);
    int r = sb_wait(request, -1, 0, 0);
    return r == -ETIMEDOUT ? 0 : r;
}

/* A blocking socket has waited in the kernel already, within SO_RCVTIMEO or SO_SNDTIMEO. */
int sb_wait_after_failure(struct sb_request *request, short events, int64_t deadline_ns, int error, unsigned *failures)
{
    if (error != EAGAIN && error != EINTR)
        return -error;
    if (error == EAGAIN && !sb_yields(request))
        return -ETIMEDOUT;
    if (sb_tires(failures) && sb_pause(request, SB_TIRED_MS) < 0)
        return -ECANCELED;
    int r = error == EINTR ? after_interrupt(request, events, deadline_ns)
                           : sb_wait(request, request->fd, events, deadline_ns);
    return r < 0 ? r : 0;
}

/* What was there before the last receive is told to nobody again, and what was told may be gone: only a look can
 * tell. */
static int wait_for_own(struct sb_request *request, short events, int64_t deadline_ns)
{
    struct pollfd own = { .fd = request->fd, .events = events };
    int r;
    request->drained = false;
    do
        r = poll(&own, 1, 0) > 0 ? own.revents : sb_wait(request, request->fd, events, deadline_ns);
    while (r > 0 && own.revents == 0 && (request->datagram || !request->io));
    return r;
}

static int wait_for(struct sb_request *request, int fd, short events, int64_t deadline_ns)
{
    if (sb_yields(request) && fd == request->fd)
        return wait_for_own(request, events, deadline_ns);
    return sb_wait(request, fd, events, deadline_ns);
}

static enum sb_state waiting_state(const struct sb_request *request, int fd, short events)
{
    return fd != request->fd ? SB_SLEEPING : events & POLLIN ? SB_READING : SB_WRITING;
}

int sb_wait_fd(struct sb_request *request, int fd, short events, int timeout_ms)
{
    int64_t deadline_ns = sb_deadline_ns(timeout_ms);
    sb_slot_enter(request->slot, waiting_state(request, fd, events));
    int r = wait_for(request, fd, events, deadline_ns);
    request->left |= r > 0 && fd == request->fd && !request->datagram && (r & (POLLHUP | POLLERR));
    sb_slot_enter(request->slot, SB_HANDLING);
    return r;
}

int sb_pause(struct sb_request *request, int milliseconds)
{
    int r = sb_wait(request, -1, 0, sb_deadline_ns(milliseconds));
    return r == -ETIMEDOUT ? 0 : r;
}

int sb_sleep(struct sb_request *request, int milliseconds)
{
    sb_slot_enter(request->slot, SB_SLEEPING);
    int r = sb_pause(request, milliseconds);
    sb_slot_enter(request->slot, SB_HANDLING);
    return r;
}
