/* ForkingMixIn: a process for each request (UNP 30, design 1). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "../child.h"
#include "../drain.h"
#include "../handlers.h"
#include "../listener.h"

struct state {
    struct sb_children children;
};

static int init(struct sb_server *server, const char *argument)
{
    int count = sb_parse_count(server, &sb_forking_mixin, argument, server->config.max_children, 100000);
    if (count < 0)
        return count;
    if (server->books.places.limit > count)
        sb_places_set_limit(&server->books.places, count);
    return 0;
}

/* The child keeps no listener open; a datagram's it needs for the reply. */
static void close_listeners(struct sb_server *server, const struct sb_listener *needed)
{
    for (unsigned i = 0; i < server->n_listeners; i++)
        if (server->listeners[i] != needed)
            sb_listener_close(server->listeners[i]);
}

static int run(struct sb_server *server, struct sb_child *child)
{
    struct sb_request *request = child->request;
    uint64_t errors = child->slot->errors;
    close_listeners(server, request->datagram ? request->listener : NULL);
    sb_worker.in_loop = false;
    sb_super(server, &sb_forking_mixin)->process_request(request);
    return child->slot->errors > errors;
}

/* The books of the request stay open in the parent, without its descriptor, so that it counts until the child ends. */
static int process_request(struct sb_request *request)
{
    struct sb_server *server = request->server;
    struct state *state = sb_state(server, &sb_forking_mixin);
    struct sb_child *child = calloc(1, sizeof *child);
    if (!child)
        return -ENOMEM;
    child->request = request;
    int r = sb_child_start(server, &state->children, child, run);
    if (r < 0)
        free(child);
    else
        methods(server)->close_request(request);
    return r;
}

/* Status 1 is a handler that failed, which the child itself has reported. */
static void report(struct sb_server *server, const struct sb_child *child)
{
    int status = child->status;
    const char *name = sb_server_handler_name(server), *caller = sb_client_name(child->request);
    if (child->killed)
        return;
    if (WIFSIGNALED(status))
        sb_server_log(server, SB_LOG_ERROR, "handler %s was killed by signal %d (%s) in child %d while serving %s",
                      name, WTERMSIG(status), strsignal(WTERMSIG(status)), (int)child->pid, caller);
    else if (WEXITSTATUS(status) > 1)
        sb_server_log(server, SB_LOG_ERROR, "handler %s exited with status %d in child %d while serving %s", name,
                      WEXITSTATUS(status), (int)child->pid, caller);
}

static void collect(struct sb_server *server, struct sb_child *child)
{
    report(server, child);
    sb_slot_release(&server->crew, &server->crew.slot_hint, child->slot, SB_DEAD);
    sb_request_free(child->request);
    free(child);
}

static void forget(struct sb_server *server, struct sb_child *child)
{
    (void)server;
    sb_request_free(child->request);
    free(child);
}

/* Python's collect_children. */
static void service_actions(struct sb_server *server)
{
    struct state *state = sb_state(server, &sb_forking_mixin);
    struct sb_child *child;
    while (server->reaper->ended && (child = sb_child_reap(server, &state->children)) != NULL)
        collect(server, child);
    server->reaper->ended = false;
    sb_super(server, &sb_forking_mixin)->service_actions(server);
}

static void server_close(struct sb_server *server)
{
    struct state *state = sb_state(server, &sb_forking_mixin);
    /* Nobody new can knock while the last are waited for. */
    for (unsigned i = 0; i < server->n_listeners; i++)
        sb_listener_close(server->listeners[i]);
    if (server->config.block_on_close)
        sb_children_drain(server, &state->children, sb_drain_ms(server), collect);
    else
        sb_children_abandon(server, &state->children, forget);
    sb_super(server, &sb_forking_mixin)->server_close(server);
}

const struct sb_class sb_forking_mixin = {
    .name = "fork",
    .summary = "a process for each request",
    .traits = SB_FORKS | SB_DISPATCHES,
    .state_size = sizeof(struct state),
    .init = init,
    .process_request = process_request,
    .service_actions = service_actions,
    .server_close = server_close,
};
