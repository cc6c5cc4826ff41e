/* Multishot accept and recv, what is received in buffers of a ring that the kernel takes them from, the answer sent out
 * of the same buffer, and one system call for everything that a turn of the loop has asked for. */
#include "bare.h"

#include <liburing.h>
#include <stdint.h>
#include <sys/mman.h>

#include "echo.h"

enum { SUBMISSIONS = 1024, COMPLETIONS = 16384, BUFFERS = 1024, BUFFER_SIZE = 2048, GROUP = 0 };
enum operation { ACCEPT, RECV, SEND, CLOSE };

static int listener;
static struct io_uring ring;
static struct io_uring_buf_ring *buffer_ring;
static char (*buffers)[BUFFER_SIZE];

static void check(int r, const char *what)
{
    if (r < 0) {
        errno = -r;
        die(what);
    }
}

static struct io_uring_sqe *submission(enum operation operation, int fd, unsigned buffer)
{
    struct io_uring_sqe *sqe;
    while ((sqe = io_uring_get_sqe(&ring)) == NULL)
        io_uring_submit(&ring);
    sqe->user_data = (uint64_t)operation << 56 | (uint64_t)buffer << 32 | (uint32_t)fd;
    return sqe;
}

static void accept_on(void)
{
    io_uring_prep_multishot_accept(submission(ACCEPT, listener, 0), listener, NULL, NULL, SOCK_CLOEXEC);
}

static void recv_on(int fd)
{
    struct io_uring_sqe *sqe = submission(RECV, fd, 0);
    io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = GROUP;
}

static void send_to(int fd, unsigned buffer, size_t size)
{
    io_uring_prep_send(submission(SEND, fd, buffer), fd, buffers[buffer], size, MSG_NOSIGNAL | MSG_WAITALL);
}

static void hang_up(int fd)
{
    struct io_uring_sqe *sqe = submission(CLOSE, fd, 0);
    io_uring_prep_close(sqe, fd);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

static void give_back(unsigned buffer)
{
    io_uring_buf_ring_add(buffer_ring, buffers[buffer], BUFFER_SIZE, (unsigned short)buffer,
                          io_uring_buf_ring_mask(BUFFERS), 0);
    io_uring_buf_ring_advance(buffer_ring, 1);
}

static void accepted(const struct io_uring_cqe *cqe)
{
    if (cqe->res >= 0)
        recv_on(cqe->res);
    if (!(cqe->flags & IORING_CQE_F_MORE))
        accept_on();
}

/* A send that still runs when its caller ends has been answered to already, or fails. */
static void received(const struct io_uring_cqe *cqe, int fd)
{
    if (cqe->res > 0) {
        unsigned buffer = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
        upper(buffers[buffer], (size_t)cqe->res);
        send_to(fd, buffer, (size_t)cqe->res);
    }
    if (cqe->res <= 0 && cqe->res != -ENOBUFS)
        hang_up(fd);
    else if (!(cqe->flags & IORING_CQE_F_MORE))
        recv_on(fd);
}

static void complete(const struct io_uring_cqe *cqe)
{
    int fd = (int)(uint32_t)cqe->user_data;
    switch ((enum operation)(cqe->user_data >> 56)) {
    case ACCEPT:
        accepted(cqe);
        break;
    case RECV:
        received(cqe, fd);
        break;
    case SEND:
        give_back(cqe->user_data >> 32 & 0xffff);
        break;
    case CLOSE:
        break;
    }
}

void bare_uring_init(int listening_fd)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN |
                 IORING_SETUP_CQSIZE,
        .cq_entries = COMPLETIONS,
    };
    listener = listening_fd;
    check(io_uring_queue_init_params(SUBMISSIONS, &ring, &params), "io_uring");
    size_t ring_size = BUFFERS * sizeof(struct io_uring_buf), size = ring_size + BUFFERS * sizeof(*buffers);
    buffer_ring = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (buffer_ring == MAP_FAILED)
        die("mmap");
    buffers = (void *)((char *)buffer_ring + ring_size);
    struct io_uring_buf_reg reg = { .ring_addr = (uintptr_t)buffer_ring, .ring_entries = BUFFERS, .bgid = GROUP };
    check(io_uring_register_buf_ring(&ring, &reg, 0), "io_uring: buffer ring");
    io_uring_buf_ring_init(buffer_ring);
    for (unsigned i = 0; i < BUFFERS; i++)
        give_back(i);
    accept_on();
}

void bare_uring_serve(void)
{
    for (;;) {
        struct io_uring_cqe *cqe;
        unsigned head, seen = 0;
        int r = io_uring_submit_and_wait(&ring, 1);
        if (r < 0 && r != -EINTR && r != -EBUSY)
            check(r, "io_uring");
        io_uring_for_each_cqe(&ring, head, cqe) {
            complete(cqe);
            seen++;
        }
        io_uring_cq_advance(&ring, seen);
    }
}
