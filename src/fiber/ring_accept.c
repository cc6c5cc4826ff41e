#include "ring_accept.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct sb_ring_accepted {
    unsigned listener;
    int fd;
};

/* Where other tags have a pointer. */
static void *listener_key(unsigned listener)
{
    return (void *)((uintptr_t)listener << SB_RING_TAG_BITS);
}

static void start_accepting(struct sb_loop *loop, unsigned listener)
{
    struct sb_ring *ring = sb_ring_of(loop);
    struct io_uring_sqe *entry = sb_ring_entry(ring);
    io_uring_prep_multishot_accept(entry, loop->server->listeners[listener]->fd, NULL, NULL, SOCK_CLOEXEC);
    sb_ring_tag(entry, listener_key(listener), SB_RING_ACCEPT);
    ring->accepts.n_accepts++;
}

void sb_ring_listen(struct sb_loop *loop, bool on)
{
    struct sb_ring *ring = sb_ring_of(loop);
    if (ring->accepts.listens == on)
        return;
    ring->accepts.listens = on;
    for (unsigned i = 0; i < loop->server->n_listeners; i++) {
        if (loop->server->listeners[i]->address.socktype != SOCK_STREAM)
            continue;
        if (on)
            start_accepting(loop, i);
        else
            sb_ring_cancel(ring, listener_key(i), SB_RING_ACCEPT);
    }
}

static int make_room(struct sb_ring_accepts *accepts)
{
    if (accepts->next_accepted == accepts->n_accepted)
        accepts->next_accepted = accepts->n_accepted = 0;
    if (accepts->n_accepted < accepts->room)
        return 0;
    unsigned room = accepts->room ? 2 * accepts->room : 64;
    struct sb_ring_accepted *accepted = reallocarray(accepts->accepted, room, sizeof *accepted);
    if (!accepted)
        return -ENOMEM;
    accepts->accepted = accepted;
    accepts->room = room;
    return 0;
}

static void keep_accepted(struct sb_ring_accepts *accepts, unsigned listener, int fd)
{
    int r = make_room(accepts);
    if (r < 0) {
        accepts->error = r;
        close(fd);
        return;
    }
    accepts->accepted[accepts->n_accepted++] = (struct sb_ring_accepted){ listener, fd };
}

/* An accept that ends by itself is begun again, after a pause where something has run out. */
void sb_ring_tell_accepted(struct sb_loop *loop, const struct io_uring_cqe *completion)
{
    struct sb_ring_accepts *accepts = &sb_ring_of(loop)->accepts;
    unsigned listener = completion->user_data >> SB_RING_TAG_BITS;
    if (completion->res >= 0)
        keep_accepted(accepts, listener, completion->res);
    if (completion->flags & IORING_CQE_F_MORE)
        return;
    accepts->n_accepts--;
    if (sb_is_shortage(completion->res))
        accepts->error = completion->res;
    else if (accepts->listens && completion->res != -ECANCELED)
        start_accepting(loop, listener);
}

int sb_ring_take_accepted(struct sb_loop *loop, unsigned *ret_listener, int *ret_fd)
{
    struct sb_ring_accepts *accepts = &sb_ring_of(loop)->accepts;
    int r = accepts->error;
    if (accepts->next_accepted == accepts->n_accepted) {
        accepts->error = 0;
        return r < 0 ? r : -EAGAIN;
    }
    *ret_listener = accepts->accepted[accepts->next_accepted].listener;
    *ret_fd = accepts->accepted[accepts->next_accepted++].fd;
    return 0;
}

bool sb_ring_accepts(const struct sb_loop *loop)
{
    const struct sb_ring_accepts *accepts = &sb_ring_of(loop)->accepts;
    return accepts->n_accepts > 0 || accepts->next_accepted < accepts->n_accepted;
}

void sb_ring_accepts_close(struct sb_ring *ring)
{
    struct sb_ring_accepts *accepts = &ring->accepts;
    for (; accepts->next_accepted < accepts->n_accepted; accepts->next_accepted++)
        close(accepts->accepted[accepts->next_accepted].fd);
    free(accepts->accepted);
}
