/* sb_address_connect: one address after the other. */
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/param.h>
#include <switchboard/address.h>
#include <unistd.h>

#include "ground/clock.h"

/* RFC 8305, section 8: the Connection Attempt Delay. */
#define NEXT_ATTEMPT_MS 250

/* No descriptor tells when the queue of a Unix socket is no longer full (unix(7)). */
#define FULL_QUEUE_RETRY_MS 10

struct attempts {
    const struct sb_address *list;
    unsigned count, begun, running;
    int fds[SB_ADDRESS_COUNT_MAX];      /* of those that have begun; -1: it has failed */
    int epoll_fd;                       /* all that run; -1 where there is one address only */
    int64_t deadline_ns, next_ns;       /* of all; when the next one begins */
    int error;                          /* why none is connected, or 0 */
    int (*wait)(void *data, int fd, short events, int timeout_ms);
    void *data;
};

int sb_address_socket(const struct sb_address *address)
{
    const struct sockaddr unnamed = { .sa_family = AF_UNIX };
    bool unixgram = address->socktype == SOCK_DGRAM && address->sa.sa_family == AF_UNIX;
    int fd = socket(address->sa.sa_family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (!unixgram || bind(fd, &unnamed, sizeof unnamed.sa_family) == 0)
        return fd;
    int r = -errno;
    close(fd);
    return r;
}

/* What a machine has answered says more than that there is no way to another. */
static void note_failure(struct attempts *attempts, int error)
{
    bool no_way = error == -ENETUNREACH || error == -EHOSTUNREACH || error == -EADDRNOTAVAIL ||
                  error == -EAFNOSUPPORT;
    if (attempts->error == 0 || !no_way)
        attempts->error = error;
    attempts->next_ns = 0;
}

static void drop(struct attempts *attempts, unsigned n)
{
    if (attempts->fds[n] >= 0)
        close(attempts->fds[n]);
    attempts->fds[n] = -1;
}

/* --- an attempt --------------------------------------------------------------------------------------------------- */

static int pause_for_queue(const struct attempts *attempts)
{
    if (attempts->deadline_ns <= sb_now_ns())
        return -ETIMEDOUT;
    int r = attempts->wait(attempts->data, -1, 0, FULL_QUEUE_RETRY_MS);
    return r == -ETIMEDOUT || r == -EINTR ? 0 : MIN(r, 0);
}

static int watch(struct attempts *attempts, int fd)
{
    struct epoll_event event = { .events = EPOLLOUT };
    attempts->running++;
    if (attempts->epoll_fd >= 0 && epoll_ctl(attempts->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        return -errno;
    return 0;
}

/* Begins the next: 1 and *ret_which when it is connected at once; 0; or -errno, which ends them all. */
static int begin(struct attempts *attempts, unsigned *ret_which)
{
    unsigned n = attempts->begun++;
    const struct sb_address *address = &attempts->list[n];
    int fd = attempts->fds[n] = sb_address_socket(address);
    if (fd < 0) {
        note_failure(attempts, fd);
        return 0;
    }
    while (connect(fd, &address->sa, address->size) < 0) {
        int error = errno;
        if (error == EINPROGRESS) {
            attempts->next_ns = sb_deadline_ns(NEXT_ATTEMPT_MS);
            return watch(attempts, fd);
        }
        if (error != EAGAIN) {
            drop(attempts, n);
            note_failure(attempts, -error);
            return 0;
        }
        int r = pause_for_queue(attempts);
        if (r < 0)
            return r;
    }
    *ret_which = n;
    return 1;
}

/* --- all of them -------------------------------------------------------------------------------------------------- */

/* Until something has happened, or the next one is due. */
static int wait_for_any(struct attempts *attempts)
{
    bool last = attempts->begun == attempts->count;
    int64_t until_ns = last ? attempts->deadline_ns : MIN(attempts->deadline_ns, attempts->next_ns);
    int fd = attempts->epoll_fd >= 0 ? attempts->epoll_fd : attempts->fds[0];
    short events = attempts->epoll_fd >= 0 ? POLLIN : POLLOUT;
    int r = attempts->wait(attempts->data, fd, events, sb_remaining_ms(until_ns));
    if (r == -EINTR || (r == -ETIMEDOUT && sb_now_ns() < attempts->deadline_ns))
        r = 0;
    return MIN(r, 0);
}

/* 1 and *ret_which: it is connected. 0: none is; who has failed runs no more. */
static int look(struct attempts *attempts, unsigned *ret_which)
{
    for (unsigned n = 0; n < attempts->begun; n++) {
        struct pollfd ready = { .fd = attempts->fds[n], .events = POLLOUT };
        int error = 0;
        socklen_t size = sizeof error;
        if (ready.fd < 0 || poll(&ready, 1, 0) <= 0)
            continue;
        if (getsockopt(ready.fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
            error = errno;
        if (error == 0) {
            *ret_which = n;
            return 1;
        }
        drop(attempts, n);
        attempts->running--;
        note_failure(attempts, -error);
    }
    return 0;
}

static int race(struct attempts *attempts, unsigned *ret_which)
{
    int r = 0;
    while (r == 0) {
        bool is_due = attempts->running == 0 || attempts->next_ns <= sb_now_ns();
        if (attempts->begun < attempts->count && is_due) {
            r = begin(attempts, ret_which);
        } else if (attempts->running == 0) {
            r = attempts->error;
        } else {
            r = wait_for_any(attempts);
            r = r < 0 ? r : look(attempts, ret_which);
        }
    }
    return r;
}

static int poll_one(void *data, int fd, short events, int timeout_ms)
{
    struct pollfd waiting = { .fd = fd, .events = events };
    int r = poll(&waiting, 1, timeout_ms);
    (void)data;
    return r == 0 ? -ETIMEDOUT : r < 0 ? -errno : waiting.revents;
}

int sb_address_connect(const struct sb_address *list, unsigned count, int timeout_ms,
                       int (*wait)(void *data, int fd, short events, int timeout_ms), void *data, unsigned *ret_which)
{
    struct attempts attempts = { .list = list, .count = count, .epoll_fd = -1, .wait = wait ? wait : poll_one,
                                 .data = data, .deadline_ns = sb_deadline_ns(timeout_ms) };
    unsigned which = 0;
    if (count == 0 || count > SB_ADDRESS_COUNT_MAX)
        return -EINVAL;
    if (count > 1 && (attempts.epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0)
        return -errno;
    int r = race(&attempts, &which);
    int fd = r < 0 ? -1 : attempts.fds[which];
    for (unsigned n = 0; n < attempts.begun; n++)
        if (r < 0 || n != which)
            drop(&attempts, n);
    if (attempts.epoll_fd >= 0)
        close(attempts.epoll_fd);
    if (r < 0)
        return r;
    if (ret_which)
        *ret_which = which;
    return fd;
}
