#include "listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/stat.h>
#include <unistd.h>

#include "classes.h"
#include "generation.h"
#include "ground/descriptor.h"
#include "ground/inherited.h"
#include "handlers.h"

static const char *advice(int error)
{
    switch (error) {
    case -EADDRINUSE:
        return ": another server has it; stop that one or choose another address (port 0 picks a free one)";
    case -EACCES:
        return ": ports below 1024 and other users' folders need root; choose a higher port or another path";
    case -EADDRNOTAVAIL:
        return ": no interface of this machine has that address";
    case -EEXIST:
        return ": the path exists and is not a socket; it is left alone, choose another path";
    case -ENOENT:
        return ": the folder of the path does not exist";
    case -EAFNOSUPPORT:
        return ": this kernel has no such address family";
    default:
        return "";
    }
}

/* What tcp(7) does not say: of a listening socket tcpi_unacked is the length of its queue. */
int sb_listener_count_waiting(const struct sb_listener *listener)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    int fd = sb_listener_fileno(listener);
    if (fd < 0)
        return 0;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
        return -1;
    return info.tcpi_unacked;
}

void sb_listener_close(struct sb_listener *listener)
{
    for (unsigned i = 0; listener->fds && i < listener->server->crew.loops; i++)
        if (listener->fds[i] != listener->fd)
            sb_fd_close(&listener->fds[i]);
    free(listener->fds);
    listener->fds = NULL;
    sb_fd_close(&listener->fd);
}

/* Whether ours is gone. */
static bool remove_file(const struct sb_listener *listener)
{
    struct stat status;
    if (lstat(listener->unlink_path, &status) < 0)
        return false;
    bool ours = status.st_dev == listener->device && status.st_ino == listener->inode;
    return !ours || unlink(listener->unlink_path) == 0;
}

void sb_listener_unlink(struct sb_listener *listener)
{
    const struct sb_crew *crew = &listener->server->crew;
    if (listener->unlink_path && crew->owner == crew->process && !remove_file(listener) && errno != ENOENT)
        sb_server_log(listener->server, SB_LOG_WARNING, "cannot remove the socket %s: %s", listener->unlink_path,
                      strerror(errno));
    free(listener->unlink_path);
    listener->unlink_path = NULL;
}

void sb_listener_free(struct sb_listener *listener)
{
    sb_listener_unlink(listener);
    sb_listener_close(listener);
    free(listener);
}

static bool is_datagram(const struct sb_listener *listener)
{
    return listener->family.traits & SB_DATAGRAM;
}

/* The type's own family where the scheme is its, else the one in the box: there is one for each scheme. */
static void resolve_family(struct sb_listener *listener)
{
    const char *scheme = sb_address_scheme(&listener->address);
    const struct sb_class *const *const *family = listener->server->registry->families;
    const struct sb_class *const *list = listener->server->family;
    if (!list || strcmp(list[0]->name, scheme) != 0) {
        while (strcmp((*family)[0]->name, scheme) != 0)
            family++;
        list = *family;
    }
    unsigned n = 0;
    while (list[n])
        n++;
    sb_class_resolve(list, n, &listener->family);
}

static int check_discipline(const struct sb_listener *listener)
{
    enum sb_discipline accept = listener->server->config.accept;
    const char *why = NULL;
    if (accept == SB_ACCEPT_PASS && is_datagram(listener))
        why = "pass hands over connections, and this address has none";
    if (accept == SB_ACCEPT_REUSEPORT && listener->address.sa.sa_family == AF_UNIX)
        why = "reuseport is for tcp and udp";
    if (accept == SB_ACCEPT_REUSEPORT && listener->origin == SB_INHERITED)
        why = "reuseport binds a socket for each worker, and this is one that is bound already";
    if (!why)
        return 0;
    sb_server_log(listener->server, SB_LOG_ERROR, "the accept discipline does not suit %s: %s; choose shared",
                  sb_address_scheme(&listener->address), why);
    return -EINVAL;
}

/* Of what is taken over there may be too few sockets: one for each loop under reuseport. */
static bool lacks_sockets(const struct sb_listener *listener)
{
    bool lacks = listener->origin == SB_BOUND;
    for (unsigned i = 0; listener->fds && !listener->further && i < listener->server->crew.loops; i++)
        lacks |= listener->fds[i] < 0;
    return lacks;
}

/* ret_step: what failed, to be said; NULL where that has been said. */
static int activate(struct sb_listener *listener, const char **ret_step)
{
    struct sb_server *server = listener->server;
    int r = check_discipline(listener);
    if (r == 0)
        r = sb_handlers_check_address(server, listener);
    if (r < 0) {
        *ret_step = NULL;
        return r;
    }
    r = lacks_sockets(listener) ? methods(server)->server_bind(listener) : 0;
    if (r < 0) {
        *ret_step = "bind";
        return r;
    }
    r = methods(server)->server_activate(listener);
    if (r < 0)
        *ret_step = "listen on";
    return r;
}

static struct sb_listener *new_listener(struct sb_server *server, const struct sb_address *address)
{
    struct sb_listener **grown =
        realloc(server->listeners, (server->n_listeners + 1) * sizeof *server->listeners);
    struct sb_listener *listener = calloc(1, sizeof *listener);
    if (grown)
        server->listeners = grown;
    if (!grown || !listener) {
        free(listener);
        return NULL;
    }
    *listener = (struct sb_listener){ .server = server, .index = server->n_listeners, .address = *address, .fd = -1 };
    resolve_family(listener);
    return listener;
}

/* What has become of a listener, NULL where there is no memory: it is kept, or said, and freed. What is inherited stays
 * with who has it. */
static int conclude(struct sb_server *server, struct sb_listener *listener, int r, const char *step,
                    enum sb_log_level level, const char *name)
{
    if (r == 0) {
        sb_address_format(&listener->address, listener->text);
        server->listeners[server->n_listeners++] = listener;
        return 0;
    }
    if (step)
        sb_server_log(server, level, "cannot %s %s: %s%s", step, name, strerror(-r), advice(r));
    if (listener && listener->origin == SB_INHERITED)
        listener->fd = -1;
    if (listener)
        sb_listener_free(listener);
    return step ? sb_system_error(r) : r;
}

/* Where `bearable` says so, the failure is no error, for others can take its place. */
static int add_one(struct sb_server *server, const struct sb_address *address, bool (*bearable)(int error))
{
    const char *step = "listen on";
    char text[SB_ADDRESS_TEXT_SIZE];
    struct sb_listener *listener = new_listener(server, address);
    int r = listener ? activate(listener, &step) : -ENOMEM;
    enum sb_log_level level = bearable && bearable(r) ? SB_LOG_INFO : SB_LOG_ERROR;
    return conclude(server, listener, r, step, level, sb_address_format(address, text));
}

/* --- a name, and all of its addresses ----------------------------------------------------------------------------- */

static in_port_t *port_of(struct sb_address *address)
{
    return address->sa.sa_family == AF_INET ? &address->in.sin_port : &address->in6.sin6_port;
}

/* A machine without IPv6, or without IPv4, still has the other. */
static bool is_missing(int error)
{
    return error == -EADDRNOTAVAIL || error == -EAFNOSUPPORT;
}

static bool is_missing_or_taken(int error)
{
    return is_missing(error) || error == -EADDRINUSE;
}

/* Port 0: the one that the kernel chose for the first, where it is free at this address too. */
static int add_further(struct sb_server *server, struct sb_address *address, const struct sb_listener *first)
{
    if (*port_of(address) != 0)
        return add_one(server, address, is_missing);
    struct sb_address bound = first->address;
    *port_of(address) = *port_of(&bound);
    int r = add_one(server, address, is_missing_or_taken);
    if (r != -EADDRINUSE)
        return r;
    *port_of(address) = 0;
    return add_one(server, address, is_missing);
}

static int add_all(struct sb_server *server, struct sb_address *list, unsigned count)
{
    unsigned had = server->n_listeners;
    int missing = 0;
    for (unsigned i = 0; i < count; i++) {
        bool is_first = server->n_listeners == had;
        int r = is_first ? add_one(server, &list[i], count > 1 ? is_missing : NULL)
                         : add_further(server, &list[i], server->listeners[had]);
        if (r < 0 && (count == 1 || !is_missing(r)))
            return r;
        missing = r < 0 ? r : missing;
    }
    if (server->n_listeners > had)
        return 0;
    sb_server_log(server, SB_LOG_ERROR, "cannot bind any of %u addresses: %s%s", count, strerror(-missing),
                  advice(missing));
    return missing;
}

/* --- a socket that is there already ------------------------------------------------------------------------------- */

static int prepare(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return -errno;
    return 0;
}

static bool is_given_twice(const struct sb_server *server, int fd)
{
    for (unsigned i = 0; i < server->n_listeners; i++)
        if (server->listeners[i]->fd == fd)
            return true;
    return false;
}

/* What fails leaves the descriptor with who has it. */
static int add_inherited(struct sb_server *server, const char *text)
{
    struct sb_address address;
    const char *why = NULL, *step = "serve at";
    int fd = sb_inherited_find(text, &address, &why), r = fd < 0 ? fd : 0;
    if (r == 0 && is_given_twice(server, fd)) {
        why = "it is given twice";
        r = -EINVAL;
    }
    if (r < 0) {
        sb_server_log(server, SB_LOG_ERROR, "cannot serve at %s: %s", text, why);
        return r;
    }
    struct sb_listener *listener = new_listener(server, &address);
    r = listener ? prepare(fd) : -ENOMEM;
    if (listener) {
        listener->origin = SB_INHERITED;
        listener->fd = fd;
    }
    if (r == 0)
        r = activate(listener, &step);
    return conclude(server, listener, r, step, SB_LOG_ERROR, text);
}

/* --- a connection that is there already --------------------------------------------------------------------------- */

int sb_listener_add_connection(struct sb_server *server, int fd)
{
    struct sb_address address;
    const char *why = NULL;
    int r = sb_inherited_find_connection(fd, &address, &why);
    if (r < 0) {
        sb_server_log(server, SB_LOG_ERROR, "cannot serve the connection: %s", why);
        return r;
    }
    struct sb_listener *listener = new_listener(server, &address);
    r = listener ? sb_handlers_check_address(server, listener) : -ENOMEM;
    if (listener)
        listener->origin = SB_INHERITED;
    return conclude(server, listener, r, listener ? NULL : "serve", SB_LOG_ERROR, "the connection");
}

/* --- sockets of the generation before ----------------------------------------------------------------------------- */

static struct sb_listener *new_successor(struct sb_server *server, int fd)
{
    char text[32];
    struct sb_address address;
    const char *why;
    snprintf(text, sizeof text, SB_INHERITED_PREFIX "%d", fd);
    if (sb_inherited_find(text, &address, &why) < 0)
        return NULL;
    struct sb_listener *listener = new_listener(server, &address);
    if (listener) {
        listener->origin = SB_TAKEN_OVER;
        listener->fd = fd;
    }
    return listener;
}

/* Takes so many sockets as one listener. */
static int give_each(struct sb_listener *listener, const int *fds, unsigned count)
{
    unsigned loops = listener->server->crew.loops;
    listener->fds = malloc(loops * sizeof *fds);
    for (unsigned i = 0; listener->fds && i < loops; i++)
        listener->fds[i] = i < count ? fds[i] : -1;
    return listener->fds ? 0 : -ENOMEM;
}

/* One listener for each socket, or, under reuseport, for as many as there are loops: all of them are waited at, and none
 * is ever closed before the server's end, so nobody who waits in one is lost. */
static int add_successors(struct sb_server *server, struct sb_held *held)
{
    bool each = server->config.accept == SB_ACCEPT_REUSEPORT;
    unsigned step_size = each ? server->crew.loops : 1;
    int r = 0;
    for (unsigned i = 0; r == 0 && i < held->count; i += step_size) {
        const char *step = "take over";
        struct sb_listener *listener = new_successor(server, held->fds[i]);
        r = listener ? 0 : -ENOMEM;
        if (listener)
            listener->further = i > 0;
        if (r == 0 && each)
            r = give_each(listener, held->fds + i, MIN(held->count - i, step_size));
        if (r == 0)
            r = activate(listener, &step);
        r = conclude(server, listener, r, step, SB_LOG_ERROR, held->bound);
    }
    if (held->count < server->crew.loops && each)
        sb_held_prefer(held);               /* until the ones that are new here can be trusted */
    held->count = 0;
    return r;
}

static int take_over(struct sb_server *server, struct sb_held *held)
{
    int r = 0;
    for (; r == 0 && held; held = sb_held_next(held))
        r = add_successors(server, held);
    return r;
}

/* --- all of them -------------------------------------------------------------------------------------------------- */

static int add_new(struct sb_server *server, const char *text)
{
    struct sb_address *list;
    unsigned count;
    const char *why;
    if (strncmp(text, SB_INHERITED_PREFIX, strlen(SB_INHERITED_PREFIX)) == 0)
        return add_inherited(server, text);
    int r = sb_address_resolve(text, server->family ? server->family[0]->name : NULL, &list, &count, &why);
    if (r < 0) {
        sb_server_log(server, SB_LOG_ERROR, "the address '%s' is wrong: %s", text, why);
        return r;
    }
    r = add_all(server, list, count);
    free(list);
    return r;
}

int sb_listener_add(struct sb_server *server, const char *text)
{
    struct sb_generation *generation = server->config.generation;
    unsigned had = server->n_listeners;
    int call = generation ? sb_generation_call(generation, text) : 0;
    if (call < 0)
        return call;
    struct sb_held *held = generation ? sb_held_find(generation->held, call, text) : NULL;
    int r = held ? take_over(server, held) : add_new(server, text);
    for (unsigned i = had; i < server->n_listeners; i++)
        server->listeners[i]->call = call;
    while (r < 0 && server->n_listeners > had)
        sb_listener_free(server->listeners[--server->n_listeners]);
    return r;
}
