/* BaseServer: the one accept loop, and what every class inherits in the end. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "accept.h"
#include "child.h"
#include "family/batch.h"
#include "worker.h"

static void count_accept(struct sb_server *server)
{
    if (server->retire.fd < 0 || atomic_fetch_sub(&server->accepts_left, 1) != 1)
        return;
    sb_wakeup_set(&server->retire);
    __atomic_store_n(&server->process_slot->retired, 1, __ATOMIC_RELEASE);
    sb_wakeup_set(&server->notice);
}

/* The loop that has taken it ends it, too, and waits for the next. */
static void turn_away(struct sb_request *request)
{
    sb_request_end(request);
    sb_slot_enter(sb_worker.slot, SB_WAITING);
}

int sb_base_dispatch(struct sb_gate *gate, struct sb_request *request)
{
    struct sb_server *server = gate->server;
    count_accept(server);
    sb_slot_accept(sb_worker.slot, &request->client);
    if (!methods(server)->verify_request(request)) {
        turn_away(request);
        return 0;
    }
    request->phase = "process_request";
    int r = methods(server)->process_request(request);
    if (r == 0)
        sb_shortage_ends(server);
    if (r >= 0)
        return 0;
    if (!atomic_load(&server->shortage))
        methods(server)->handle_error(request, r);
    sb_shortage_begins(server, "cannot start a worker for a request", r);
    turn_away(request);
    return r;
}

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
    do {
        sb_slot_enter(sb_worker.slot, SB_WAITING);
        r = sb_gate_next(gate, timeout_ms, &request);
        if (r == 1 && sb_base_dispatch(gate, request) < 0)
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
    int64_t deadline_ns = sb_deadline_ns(server->config.timeout_ms);
    int r;
    while ((r = sb_gate_next(gate, sb_remaining_ms(deadline_ns), &request)) == 0 && sb_remaining_ms(deadline_ns) != 0)
        methods(server)->service_actions(server);
    if (r == 1)
        sb_base_dispatch(gate, request);
    else if (r == 0)
        methods(server)->handle_timeout(server);
    return r == -ECANCELED ? 0 : r;
}

int sb_base_work(struct sb_server *server, int (*body)(struct sb_gate *gate))
{
    struct sb_gate gate;
    int r = sb_gate_open(&gate, server, SB_GATE_WORKER);
    if (r < 0)
        return r;
    struct sb_slot *slot = sb_worker.slot ? NULL : sb_slot_claim(server, sb_worker.index);
    if (slot)
        sb_slot_occupy(server, slot, gettid());
    sb_worker.in_loop = true;
    r = body(&gate);
    sb_worker.in_loop = false;
    if (slot) {
        sb_slot_release(server, slot, SB_FREE);
        sb_worker.slot = NULL;
    }
    sb_gate_close(&gate);
    return r;
}

static int base_serve_forever(struct sb_server *server)
{
    return sb_base_work(server, run_loop);
}

int sb_base_handle_request(struct sb_server *server)
{
    return sb_base_work(server, handle_one);
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
    if (r == -ECANCELED && request->in_loop)
        sb_server_log(server, SB_LOG_WARNING, "the drain deadline has passed: cutting off 1 request");
    else if (r < 0 && r != -ECANCELED)
        methods(server)->handle_error(request, r);
    sb_request_end(request);
    return 0;
}

static void base_handle_error(struct sb_request *request, int error)
{
    static const char line[] = "----------------------------------------";
    struct sb_server *server = request->server;
    sb_server_log(server, SB_LOG_ERROR,
                  "%s\nException occurred during processing of request from %s\nhandler %s, %s: %s (%d)\n%s", line,
                  sb_client_name(request), server->handler_name, request->phase,
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
        sb_server_drain(server);
    /* A reply in flight needs the datagram socket; with one left behind it closes when the last reference goes. */
    bool idle = sb_server_is_idle(server);
    for (unsigned i = 0; i < server->n_listeners && idle; i++)
        sb_listener_close(server->listeners[i]);
}

static int64_t drain_deadline_ns(struct sb_server *server)
{
    if (server->drain_deadline_ns == 0)
        server->drain_deadline_ns = sb_deadline_ns(server->config.drain_timeout_ms);
    return server->drain_deadline_ns;
}

/* A thread is cut off by whoever waits for it; the loop, when it handles a request itself, has to see the stop too. */
static int base_wait(struct sb_request *request, int fd, short events, int64_t deadline_ns)
{
    struct sb_server *server = request->server;
    struct pollfd fds[] = { { .fd = fd, .events = events },
                            { .fd = server->cut.fd, .events = POLLIN },
                            { .fd = request->in_loop ? server->stop.fd : -1, .events = POLLIN } };
    int late = -ETIMEDOUT;
    for (;;) {
        int r = poll(fds, 3, sb_remaining_ms(deadline_ns));
        if (r < 0 && errno != EINTR)
            return -errno;
        if (r == 0)
            return late;
        if (r > 0 && fds[1].revents)
            return -ECANCELED;
        if (r > 0 && fds[0].revents)
            return fds[0].revents;
        if (r > 0 && drain_deadline_ns(server) < deadline_ns) {
            deadline_ns = drain_deadline_ns(server);
            late = -ECANCELED;
        }
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
