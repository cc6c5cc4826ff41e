/* TCPServer: connections. The other families inherit from it. */
#include "tcp.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../ground/clock.h"
#include "../ground/descriptor.h"
#include "../request.h"

#define LINGER_MS 1000
#define LINGER_SIZE_MAX (1 << 20)

static int open_socket(const struct sb_listener *listener)
{
    int type = listener->address.socktype | SOCK_CLOEXEC | SOCK_NONBLOCK;
    int fd = socket(listener->address.sa.sa_family, type, 0);
    return fd < 0 ? -errno : fd;
}

bool sb_tcp_admits_by_file(const struct sb_listener *listener)
{
    const struct sb_config *config = &listener->server->config;
    const struct sb_address *address = &listener->address;
    return address->sa.sa_family == AF_UNIX && address->un.sun_path[0] != '\0' &&
           (config->socket_mode >= 0 || config->socket_group >= 0);
}

static int bind_socket(struct sb_listener *listener, int fd)
{
    struct sb_address *address = &listener->address;
    if (bind(fd, &address->sa, address->size) < 0)
        return -errno;
    if (address->sa.sa_family == AF_UNIX && address->un.sun_path[0] != '\0')
        return 0;
    socklen_t size = sizeof address->un;
    if (getsockname(fd, &address->sa, &size) < 0)
        return -errno;
    address->size = size;
    return 0;
}

static int set(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) < 0 ? -errno : 0;
}

static int set_options(const struct sb_listener *listener, int fd)
{
    const struct sb_config *config = &listener->server->config;
    bool stream = listener->address.socktype == SOCK_STREAM;
    int r = 0;
    if (config->allow_reuse_address && stream)
        r = set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    bool internet = listener->address.sa.sa_family != AF_UNIX;
    if (r == 0 && internet && (config->allow_reuse_port || config->accept == SB_ACCEPT_REUSEPORT))
        r = set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (r == 0 && listener->address.sa.sa_family == AF_INET6)
        r = set(fd, IPPROTO_IPV6, IPV6_V6ONLY, listener->address.any.v6only);
    return r;
}

/* An accepted socket inherits these from its listener, which saves calls for each connection (socket(7), tcp(7)). */
static int set_inherited(const struct sb_listener *listener, int fd)
{
    const struct sb_config *config = &listener->server->config;
    int r = set(fd, IPPROTO_TCP, TCP_NODELAY, config->disable_nagle_algorithm);
    return r < 0 ? r : sb_fd_settimeout(fd, config->idle_timeout_ms);
}

static int bind_one(struct sb_listener *listener, int *ret_fd)
{
    int fd = open_socket(listener);
    if (fd < 0)
        return fd;
    int r = set_options(listener, fd);
    if (r == 0 && sb_tcp_admits_by_file(listener) && fchmod(fd, 0) < 0)     /* what a file is made with: unix(7) */
        r = -errno;
    if (r == 0)
        r = bind_socket(listener, fd);
    if (r < 0)
        close(fd);
    else
        *ret_fd = fd;
    return r;
}

static int make_sockets(struct sb_listener *listener)
{
    unsigned count = listener->server->crew.loops;
    listener->fds = malloc(count * sizeof *listener->fds);
    for (unsigned i = 0; listener->fds && i < count; i++)
        listener->fds[i] = -1;
    return listener->fds ? 0 : -ENOMEM;
}

/* reuseport: the first socket settles the port, the others join it; and those that are taken over let them. */
static int bind_each(struct sb_listener *listener)
{
    int r = listener->fds ? 0 : make_sockets(listener);
    for (unsigned i = 0; r == 0 && i < listener->server->crew.loops; i++)
        r = listener->fds[i] < 0 ? bind_one(listener, &listener->fds[i])
                                 : set(listener->fds[i], SOL_SOCKET, SO_REUSEPORT, 1);
    if (r == 0)
        listener->fd = listener->fds[0];
    return r;
}

int sb_tcp_bind(struct sb_listener *listener)
{
    if (listener->server->config.accept == SB_ACCEPT_REUSEPORT)
        return bind_each(listener);
    return bind_one(listener, &listener->fd);
}

static int activate_one(struct sb_listener *listener, int fd)
{
    int r = listener->address.sa.sa_family == AF_UNIX ? 0 : set_inherited(listener, fd);
    if (r == 0 && listen(fd, listener->server->config.request_queue_size) < 0)
        r = -errno;
    return r;
}

static int server_activate(struct sb_listener *listener)
{
    if (!listener->fds)
        return activate_one(listener, listener->fd);
    int r = 0;
    for (unsigned i = 0; r == 0 && i < listener->server->crew.loops; i++)
        r = listener->fds[i] < 0 ? 0 : activate_one(listener, listener->fds[i]);
    return r;
}

/* Errors of a connection that ended before it was accepted, which accept(2) reports and a server should pass over. */
static bool concerns_one_connection(int error)
{
    switch (error) {
    case ECONNABORTED: case EINTR: case EPROTO: case EPERM: case ENETDOWN: case ENOPROTOOPT: case EHOSTDOWN:
    case ENONET: case EHOSTUNREACH: case EOPNOTSUPP: case ENETUNREACH:
        return true;
    default:
        return false;
    }
}

/* Who has left already has no name: the address that means none (INADDR_ANY, port 0). */
static void ask_for_client(const struct sb_listener *listener, int fd, struct sb_address *client)
{
    socklen_t size = sizeof client->un;
    if (getpeername(fd, &client->sa, &size) == 0) {
        client->size = size;
    } else if (listener->address.sa.sa_family != AF_UNIX) {
        client->sa.sa_family = listener->address.sa.sa_family;
        client->size = listener->address.size;
    }
}

/* Who has not bound a Unix socket is told apart by process and user. */
static void ask_for_owner(struct sb_request *request)
{
    struct sb_credentials peer = { 0 };
    bool known = sb_peer_credentials(request, &peer) == 0;
    request->client.owner = (struct sb_address_owner){ .family = AF_UNIX, .known = known, .pid = peer.pid,
                                                       .uid = peer.uid };
    request->client.size = 0;
}

static void know_client(struct sb_request *request)
{
    request->client.socktype = SOCK_STREAM;
    if (request->listener->address.sa.sa_family != AF_UNIX)
        sb_address_unmap(&request->client);
    else if (request->client.size <= offsetof(struct sockaddr_un, sun_path))
        ask_for_owner(request);
}

int sb_tcp_admit(struct sb_listener *listener, int fd, const struct sb_address *client, struct sb_request **ret_request)
{
    struct sb_request *request = sb_request_new(listener, fd, 0);
    if (!request)
        return -ENOMEM;
    if (client)
        request->client = *client;
    else
        ask_for_client(listener, fd, &request->client);
    know_client(request);
    if (listener->address.sa.sa_family == AF_UNIX && request->timeout_ms >= 0)
        sb_settimeout(request, request->timeout_ms);
    if (sb_log_is_verbose(&listener->server->log))
        sb_server_log(listener->server, SB_LOG_DEBUG, "[*] Accept connection from: %s", sb_client_name(request));
    *ret_request = request;
    return 0;
}

static int get_request(struct sb_listener *listener, struct sb_request **ret_request)
{
    const struct sb_server *server = listener->server;
    struct sb_address client;
    socklen_t size = sizeof client.un;
    bool blocks = !(server->traits & SB_YIELDS) || server->sockets_block;
    int flags = SOCK_CLOEXEC | (blocks ? 0 : SOCK_NONBLOCK);
    int fd = accept4(sb_listener_fileno(listener), &client.sa, &size, flags);
    if (fd < 0)
        return concerns_one_connection(errno) ? -EAGAIN : -errno;
    client.size = size;
    int r = sb_tcp_admit(listener, fd, &client, ret_request);
    if (r < 0)
        close(fd);
    return r;
}

/* Reads what the peer still sends, up to a bound: closing with unread input sends a reset, which would destroy a reply
 * that the peer has not read yet (RFC 1122, 4.2.2.13). */
static void linger(struct sb_request *request)
{
    char waste[4096];
    size_t total = 0;
    int64_t deadline_ns = NEVER;
    for (;;) {
        ssize_t n = recv(request->fd, waste, sizeof waste, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            return;
        if (n > 0 && deadline_ns == NEVER)
            deadline_ns = sb_deadline_ns(LINGER_MS);
        total += n > 0 ? n : 0;
        if (deadline_ns == NEVER || total > LINGER_SIZE_MAX)
            return;
        if (n < 0 && methods(request->server)->wait(request, request->fd, POLLIN, deadline_ns) < 0)
            return;
    }
}

static void shutdown_request(struct sb_request *request)
{
    if (sb_log_is_verbose(&request->server->log))
        sb_server_log(request->server, SB_LOG_DEBUG, "[*] Close connection from: %s", sb_client_name(request));
    if (request->fd >= 0 && !request->saw_end && shutdown(request->fd, SHUT_WR) == 0)
        linger(request);
    methods(request->server)->close_request(request);
}

const struct sb_class sb_tcp_class = {
    .name = "tcp",
    .traits = SB_FAMILY,
    .server_bind = sb_tcp_bind,
    .server_activate = server_activate,
    .get_request = get_request,
    .shutdown_request = shutdown_request,
    .close_request = sb_request_close,
};
