#include "channel.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ground/descriptor.h"
#include "ground/passing.h"
#include "request.h"

/* Small, so that connections wait in the listener's backlog and not behind a worker. */
#define CHANNEL_SIZE 4096

struct passed {
    unsigned listener;
    struct sb_address client;
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

void sb_channel_send(struct sb_server *server, struct sb_request *request)
{
    struct passed passed = { .listener = request->listener->index, .client = request->client };
    if (sb_pass(server->channel->out, &passed, sizeof passed, &request->fd, 1) < 0) {
        sb_request_end(request);
        return;
    }
    methods(server)->close_request(request);
    sb_request_free(request);
}

int sb_channel_receive(struct sb_server *server, struct sb_request **ret_request)
{
    struct passed passed;
    int fds[SB_PASSED_MAX];
    unsigned count;
    ssize_t n = sb_take_passed(server->channel->in, 0, &passed, sizeof passed, fds, &count);
    if (n < 0)
        return n == -EINTR ? -EAGAIN : (int)n;
    if (n == 0)
        return -ECANCELED;
    if (count == 0)
        return -EMFILE;
    int fd = fds[0];
    struct sb_request *request = sb_request_new(server->listeners[passed.listener], fd, 0);
    if (!request) {
        close(fd);
        return -ENOMEM;
    }
    request->client = passed.client;
    *ret_request = request;
    return 0;
}
