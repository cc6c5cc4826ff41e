#include "connection.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

/* An end that a server sees as an orderly one, and after which no port stays in TIME_WAIT, where it could not be used
 * again for a minute: once the other side has acknowledged the FIN, the kernel resets the connection. */
static void leave_no_trace(int fd)
{
    setsockopt(fd, IPPROTO_TCP, TCP_LINGER2, &(int){ -1 }, sizeof(int));
}

int connection_dial(struct run *run, struct client *client)
{
    const struct sb_address *address = &run->plan->address;
    int fd = sb_address_socket(address);
    if (fd < 0)
        return fd;
    client->fd = fd;
    if (run->stream && !run_is_unix(run))
        leave_no_trace(fd);
    if (connect(fd, &address->sa, address->size) == 0 || errno == EINPROGRESS)
        return 0;
    int r = -errno;
    connection_hang_up(client);
    return r;
}

int connection_watch(struct run *run, struct client *client, bool out)
{
    struct epoll_event event = { .events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = client };
    if (client->watched && client->watched_out == out)
        return 0;
    int r = epoll_ctl(run->epoll_fd, client->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, client->fd, &event);
    client->watched = true;
    client->watched_out = out;
    return r < 0 ? -errno : 0;
}

void connection_note_port(struct client *client)
{
    struct sb_address own = { .size = sizeof own.in6 };
    getsockname(client->fd, &own.sa, &own.size);
    client->call->port = own.sa.sa_family == AF_INET ? ntohs(own.in.sin_port)
                         : own.sa.sa_family == AF_INET6 ? ntohs(own.in6.sin6_port) : 0;
}

void connection_look_for_lost_syn(struct run *run, const struct client *client)
{
    struct tcp_info info = { .tcpi_total_retrans = 0 };
    socklen_t size = sizeof info;
    if (!run->stream || run_is_unix(run) || client->up || client->fd < 0)
        return;
    getsockopt(client->fd, IPPROTO_TCP, TCP_INFO, &info, &size);
    run->result->called_again += info.tcpi_total_retrans > 0;
}

void connection_hang_up(struct client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
    client->up = client->spoiled = client->watched = client->watched_out = false;
}
