#include "base.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>

#include "child.h"
#include "dispatch.h"
#include "drain.h"
#include "family/batch.h"
#include "family/tcp.h"
#include "ground/clock.h"
#include "ground/descriptor.h"
#include "handlers.h"
#include "listener.h"
#include "ready.h"
#include "verbs/peer.h"

static int loop_timeout_ms(const struct sb_server *server)
{
    return methods(server)->service_actions == sb_base_class.service_actions ? -1 : server->config.poll_interval_ms;
}

static int run_loop(struct sb_gate *gate)
{
    struct sb_server *server = gate->server;
    struct sb_request *request;
    int timeout_ms = loop_timeout_ms(server), r;
    sb_batches_open(server);
    sb_ready_here(server);
    do {
        sb_slot_enter(sb_worker.slot, SB_WAITING);
        r = sb_gate_next(gate, timeout_ms, &request);
        if (r == 1 && sb_dispatch(gate, request) < 0)
            sb_gate_pause(gate);
        methods(server)->service_actions(server);
    } while (r >= 0);
    sb_batches_close(server);
    return r == -ECANCELED ? 0 : r;
}

/* Python's handle_request: one request, or handle_timeout. */
static int handle_one(struct sb_gate *gate)
{
    struct sb_server *server = gate->server;
    struct sb_request *request;
    sb_ready_here(server);
    int64_t deadline_ns = sb_deadline_ns(server->config.timeout_ms);
    int r;
    while ((r = sb_gate_next(gate, sb_remaining_ms(deadline_ns), &request)) == 0 && sb_remaining_ms(deadline_ns) != 0)
        methods(server)->service_actions(server);
    if (r == 1)
        sb_dispatch(gate, request);
    else if (r == 0)
        methods(server)->handle_timeout(server);
    return r == -ECANCELED ? 0 : r;
}

static int base_serve_forever(struct sb_server *server)
{
    return sb_work(server, run_loop);
}

int sb_base_handle_request(struct sb_server *server)
{
    return sb_work(server, handle_one);
}

/* What its own listener would have given it. */
static int prepare_connection(const struct sb_server *server, int fd)
{
    bool blocks = !(server->traits & SB_YIELDS) || server->sockets_block;
    int flags = fcntl(fd, F_GETFL), nodelay = server->config.disable_nagle_algorithm;
    if (flags < 0 || fcntl(fd, F_SETFL, blocks ? flags & ~O_NONBLOCK : flags | O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return -errno;
    if (nodelay)                /* of a Unix socket there is no such thing */
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, sizeof nodelay);
    return sb_fd_settimeout(fd, server->config.idle_timeout_ms);
}

static int handle_connection(struct sb_gate *gate)
{
    struct sb_server *server = gate->server;
    struct sb_request *request;
    int r = prepare_connection(server, server->connection_fd);
    if (r < 0)
        return r;
    sb_ready_here(server);
    if (!sb_share_reserve(&gate->book->share))
        return -EBUSY;
    r = sb_tcp_admit(server->listeners[server->n_listeners - 1], server->connection_fd, NULL, &request);
    if (r < 0)
        return r;
    sb_entry_settle(&request->entry);
    sb_dispatch(gate, request);
    return 0;
}

int sb_base_handle_connection(struct sb_server *server)
{
    return sb_work(server, handle_connection);
}

static int base_server_bind(struct sb_listener *listener)
{
    return listener->family.server_bind(listener);
}

static int base_server_activate(struct sb_listener *listener)
{
    return listener->family.server_activate(listener);
}

static int base_get_request(struct sb_listener *listener, struct sb_request **ret_request)
{
    return listener->family.get_request(listener, ret_request);
}

static void base_shutdown_request(struct sb_request *request)
{
    sb_slot_close_request(request->slot, &request->client);
    request->listener->family.shutdown_request(request);
}

static void base_close_request(struct sb_request *request)
{
    request->listener->family.close_request(request);
}

static bool base_verify_request(struct sb_request *request)
{
    (void)request;
    return true;
}

static int base_process_request(struct sb_request *request)
{
    struct sb_server *server = request->server;
    request->in_loop = sb_worker.in_loop;
    sb_worker.request = request->in_loop ? request : NULL;
    int r = methods(server)->finish_request(request);
    sb_worker.request = NULL;
    if (sb_child_strays())
        sb_child_end_stray(server);
    if (r == -ECANCELED && request->in_loop)
        sb_drain_log_cut(server, 1);
    else if (r < 0 && r != -ECANCELED)
        methods(server)->handle_error(request, r);
    sb_request_end(request);
    return 0;
}

/* A caller who leaves is no error of the handler's. */
static void base_handle_error(struct sb_request *request, int error)
{
    static const char line[] = "----------------------------------------";
    struct sb_server *server = request->server;
    if (sb_has_left(request, error)) {
        sb_server_log(server, SB_LOG_INFO, "%s has left: %s", sb_client_name(request), strerror(-error));
        return;
    }
    sb_server_log(server, SB_LOG_ERROR,
                  "%s\nException occurred during processing of request from %s\nhandler %s, %s: %s (%d)\n%s", line,
                  sb_client_name(request), sb_server_handler_name(server), request->phase,
                  request->why && request->why_error == error ? request->why : strerror(-error), error, line);
}

static void base_server_nothing(struct sb_server *server)
{
    (void)server;
}

static void base_server_close(struct sb_server *server)
{
    for (unsigned i = 0; i < server->n_listeners; i++) {
        sb_listener_unlink(server->listeners[i]);
        if (!(server->listeners[i]->family.traits & SB_DATAGRAM))
            sb_listener_close(server->listeners[i]);
    }
    bool daemons = server->config.daemon_threads && (server->traits & SB_CONCURRENT);
    if (server->config.block_on_close && !daemons)
        sb_drain(server);
    /* A reply in flight needs the datagram socket; with one left behind it closes when the last reference goes. */
    bool idle = sb_books_count(&server->books) == 0;
    for (unsigned i = 0; i < server->n_listeners && idle; i++)
        sb_listener_close(server->listeners[i]);
}

/* When a wait that a loop itself does ends, after a stop: with the drain. */
static bool ends_with_drain(const struct sb_request *request, int64_t *deadline_ns)
{
    struct sb_server *server = request->server;
    if (!request->in_loop || !sb_signals_stopping(&server->signals) || sb_drain_deadline_ns(server) > *deadline_ns)
        return false;
    *deadline_ns = sb_drain_deadline_ns(server);
    return true;
}

/* A thread is cut off by whoever waits for it; the loop, when it handles a request itself, has to see the stop too, and
 * then ends with the drain even where there is something to do. */
static int base_wait(struct sb_request *request, int fd, short events, int64_t deadline_ns)
{
    struct sb_signals *signals = &request->server->signals;
    struct pollfd fds[] = { { .fd = fd, .events = events },
                            { .fd = signals->cut.fd, .events = POLLIN },
                            { .fd = request->in_loop ? signals->stop.fd : -1, .events = POLLIN } };
    for (unsigned interrupts = 0;;) {
        bool ending = ends_with_drain(request, &deadline_ns);
        if (ending && sb_remaining_ms(deadline_ns) == 0)
            return -ECANCELED;
        int r = poll(fds, 3, sb_remaining_ms(deadline_ns));
        if (r < 0 && errno != EINTR)
            return -errno;
        if (r < 0 && sb_tires(&interrupts))
            sb_nap(SB_TIRED_MS);
        if (r == 0)
            return ending ? -ECANCELED : -ETIMEDOUT;
        if (r > 0 && fds[1].revents)
            return -ECANCELED;
        if (r > 0 && fds[0].revents)
            return fds[0].revents;
        if (r > 0)
            fds[2].fd = -1;
    }
}

const struct sb_class sb_base_class = {
    .name = "base",
    .server_bind = base_server_bind,
    .server_activate = base_server_activate,
    .get_request = base_get_request,
    .serve_forever = base_serve_forever,
    .verify_request = base_verify_request,
    .process_request = base_process_request,
    .finish_request = sb_handlers_run,
    .shutdown_request = base_shutdown_request,
    .close_request = base_close_request,
    .handle_error = base_handle_error,
    .handle_timeout = base_server_nothing,
    .service_actions = base_server_nothing,
    .server_close = base_server_close,
    .wait = base_wait,
};
