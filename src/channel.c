#include "channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ground/descriptor.h"
#include "request.h"

/* Small, so that connections wait in the listener's backlog and not behind a worker. */
#define CHANNEL_SIZE 4096

struct passed {
    unsigned listener;
    struct sb_address client;
};

union control {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
};

int sb_channel_open(struct sb_server *server)
{
    const int size = CHANNEL_SIZE;
    int ends[2];
    struct sb_channel *channel = malloc(sizeof *channel);
    if (!channel)
        return -ENOMEM;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0) {
        int r = -errno;
        free(channel);
        return r;
    }
    setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    *channel = (struct sb_channel){ .in = ends[0], .out = ends[1] };
    server->channel = channel;
    return 0;
}

void sb_channel_leave(struct sb_server *server)
{
    if (server->channel)
        sb_fd_close(&server->channel->out);
}

void sb_channel_end(struct sb_server *server)
{
    /* Whatever this program has forked meanwhile may hold a copy, so closing alone would not be seen. */
    if (server->channel && server->channel->out >= 0)
        shutdown(server->channel->out, SHUT_WR);
    sb_channel_leave(server);
}

void sb_channel_close(struct sb_server *server)
{
    sb_channel_end(server);
    if (server->channel)
        sb_fd_close(&server->channel->in);
    free(server->channel);
    server->channel = NULL;
}

static int send_passed(int channel, const struct passed *passed, int fd)
{
    union control control;
    struct iovec data = { .iov_base = (void *)passed, .iov_len = sizeof *passed };
    struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control,
                              .msg_controllen = sizeof control };
    memset(&control, 0, sizeof control);
    control.header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
                                       .cmsg_len = CMSG_LEN(sizeof fd) };
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    return sendmsg(channel, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

void sb_channel_send(struct sb_server *server, struct sb_request *request)
{
    struct passed passed = { .listener = request->listener->index, .client = request->client };
    if (send_passed(server->channel->out, &passed, request->fd) < 0) {
        sb_request_end(request);
        return;
    }
    methods(server)->close_request(request);
    sb_request_free(request);
}

int sb_channel_receive(struct sb_server *server, struct sb_request **ret_request)
{
    struct passed passed;
    union control control;
    struct iovec data = { .iov_base = &passed, .iov_len = sizeof passed };
    struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control,
                              .msg_controllen = sizeof control };
    ssize_t n = recvmsg(server->channel->in, &message, MSG_CMSG_CLOEXEC);
    if (n < 0)
        return errno == EINTR ? -EAGAIN : -errno;
    if (n == 0)
        return -ECANCELED;
    if (message.msg_controllen < CMSG_LEN(sizeof(int)))
        return -EMFILE;
    int fd;
    memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
    struct sb_request *request = sb_request_new(server->listeners[passed.listener], fd, 0);
    if (!request) {
        close(fd);
        return -ENOMEM;
    }
    request->client = passed.client;
    *ret_request = request;
    return 0;
}
