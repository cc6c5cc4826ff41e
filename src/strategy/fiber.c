/* A fiber for each request: straight-line handlers, thousands of them on one thread. */
#include <errno.h>
#include <string.h>

#include "../child.h"
#include "../dispatch.h"
#include "../fiber/callers.h"
#include "../fiber/loop.h"

#ifdef HAVE_LIBURING
#define WITH_URING &sb_uring_engine,
#else
#define WITH_URING
#endif

struct state {
    const struct sb_engine *engine;
    atomic_bool held_up;        /* a handler has held up a loop: said once */
};

static int choose(struct sb_server *server, const char *name, const struct sb_engine **ret_engine)
{
    const struct sb_engine *const engines[] = { WITH_URING &sb_epoll_engine };
    int refused = 0;
    for (unsigned i = 0; i < sizeof engines / sizeof *engines; i++) {
        if (name && strcmp(engines[i]->name, name) != 0)
            continue;
        refused = engines[i]->try ? engines[i]->try() : 0;
        if (refused == 0) {
            *ret_engine = engines[i];
            return 0;
        }
    }
    bool unbuilt = name && strcmp(name, "uring") == 0;
    if (refused < 0)
        sb_server_log(server, SB_LOG_ERROR, "fiber:uring: this system does not let us use io_uring: %s; choose "
                      "fiber:epoll (or see /proc/sys/kernel/io_uring_disabled, ulimit -l)", strerror(-refused));
    else if (unbuilt)
        sb_server_log(server, SB_LOG_ERROR, "fiber:uring: this switchboard was built without liburing; choose "
                      "fiber:epoll");
    else
        sb_server_log(server, SB_LOG_ERROR, "fiber:%s: it must be fiber, fiber:epoll or fiber:uring", name);
    return refused < 0 || unbuilt ? -EOPNOTSUPP : -EINVAL;
}

static int init(struct sb_server *server, const char *argument)
{
    struct state *state = sb_state(server, &sb_fiber_mixin);
    int r = choose(server, argument, &state->engine);
    server->sockets_block = r == 0 && state->engine->io;
    return r;
}

static void serve(struct sb_request *request)
{
    sb_super(request->server, &sb_fiber_mixin)->process_request(request);
}

static int run_loop(struct sb_gate *gate)
{
    struct state *state = sb_state(gate->server, &sb_fiber_mixin);
    return sb_loop_run(gate, state->engine, &state->held_up, serve);
}

static int serve_forever(struct sb_server *server)
{
    return sb_work(server, run_loop);
}

static struct sb_caller *caller_of(struct sb_request *request)
{
    return sb_request_state(request, &sb_fiber_mixin);
}

/* The loop that a request belongs to; NULL under handle_request, which has none, even where another server's runs. */
static struct sb_loop *loop_of(const struct sb_request *request)
{
    return sb_loop && sb_loop->server == request->server ? sb_loop : NULL;
}

/* Without a loop a request is served where it is. */
static int process_request(struct sb_request *request)
{
    if (!loop_of(request)) {
        serve(request);
        return 0;
    }
    caller_of(request)->request = request;
    return sb_callers_start(sb_loop, caller_of(request));
}

/* What is left is the end of the connection, by the sockets' calls. */
static int finish_request(struct sb_request *request)
{
    int r = sb_super(request->server, &sb_fiber_mixin)->finish_request(request);
    struct sb_loop *loop = loop_of(request);
    if (loop && loop->engine->io && request->io == loop->engine->io) {
        loop->engine->leave(loop, caller_of(request));
        request->io = NULL;
    }
    return r;
}

static void close_request(struct sb_request *request)
{
    struct sb_loop *loop = loop_of(request);
    if (loop && loop->engine->forget)
        loop->engine->forget(loop, caller_of(request));
    sb_super(request->server, &sb_fiber_mixin)->close_request(request);
}

static int wait(struct sb_request *request, int fd, short events, int64_t deadline_ns)
{
    /* What a handler has forked shares the loop's descriptors, and must leave them alone. */
    if (!sb_child_strays() && loop_of(request) && sb_loop->current)
        return sb_task_wait(sb_loop, fd, events, deadline_ns);
    return sb_super(request->server, &sb_fiber_mixin)->wait(request, fd, events, deadline_ns);
}

const struct sb_class sb_fiber_mixin = {
    .name = "fiber",
    .summary = "a fiber for each request, all on one thread: fiber, fiber:epoll, fiber:uring",
    .traits = SB_CONCURRENT | SB_YIELDS | SB_DISPATCHES,
    .state_size = sizeof(struct state),
    .request_size = sizeof(struct sb_caller),
    .init = init,
    .serve_forever = serve_forever,
    .process_request = process_request,
    .finish_request = finish_request,
    .close_request = close_request,
    .wait = wait,
};
