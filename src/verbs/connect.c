/* sb_connect: a handler calls another server. */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "../ground/clock.h"
#include "../objects.h"

/* No descriptor tells when the queue of a Unix socket is no longer full (unix(7)). */
#define FULL_QUEUE_RETRY_MS 10

struct lookup {
    const char *text;
    struct sb_address *address;
    int result;
};

static void look_up(void *argument)
{
    struct lookup *lookup = argument;
    lookup->result = sb_address_parse(lookup->text, NULL, lookup->address, NULL);
}

static int resolve(struct sb_request *request, const char *text, struct sb_address *ret_address)
{
    struct lookup lookup = { .text = text, .address = ret_address };
    int r = sb_offload(request, look_up, &lookup);
    return r < 0 ? r : lookup.result;
}

static int connect_socket(struct sb_request *request, int fd, const struct sb_address *address, int timeout_ms)
{
    int error;
    socklen_t size = sizeof error;
    int64_t deadline_ns = sb_deadline_ns(timeout_ms);
    int r;
    while ((r = connect(fd, &address->sa, address->size)) < 0 && errno == EAGAIN) {
        r = deadline_ns <= sb_now_ns() ? -ETIMEDOUT : sb_sleep(request, FULL_QUEUE_RETRY_MS);
        if (r < 0)
            return r;
    }
    if (r == 0 || errno != EINPROGRESS)
        return r == 0 ? 0 : -errno;
    r = sb_wait_fd(request, fd, POLLOUT, timeout_ms);
    if (r < 0)
        return r;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ? -errno : -error;
}

int sb_connect(struct sb_request *request, const char *text, int timeout_ms)
{
    struct sb_address address;
    int r = resolve(request, text, &address);
    if (r < 0)
        return r;
    int fd = socket(address.sa.sa_family, address.socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    r = connect_socket(request, fd, &address, timeout_ms);
    if (r < 0)
        close(fd);
    return r < 0 ? r : fd;
}
