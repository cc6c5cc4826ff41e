/* N threads that each accept for themselves (UNP 30, design 7). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <unistd.h>

#include "../channel.h"
#include "../child.h"
#include "../drain.h"
#include "../gate.h"
#include "../ground/clock.h"
#include "../ground/thread.h"

/* How often, and with what pause, a loop that cannot begin is tried again; what fails later has served. */
enum { TRIES = 20, PAUSE_MS = 100 };
#define BEGINNING_NS INT64_C(1000000000)

struct state {
    int threads;
    atomic_int running;
};

struct loop {
    struct sb_server *server;
    unsigned index;
    pthread_t thread;
    int result;
};

static int init(struct sb_server *server, const char *argument)
{
    struct state *state = sb_state(server, &sb_prethread_mixin);
    state->threads = sb_parse_count(server, &sb_prethread_mixin, argument, sb_prethread_mixin.workers, 10000);
    if (state->threads < 0)
        return state->threads;
    server->crew.loops *= state->threads;
    server->crew.slots += state->threads;
    return 0;
}

/* None of the loops could run. A worker of prefork leaves it to its parent to try again. */
static void give_up(struct sb_server *server, int error)
{
    if (server->crew.process_slot)
        _exit(sb_child_failure_status(error));
    sb_signals_stop(&server->signals);
}

/* Under reuseport each loop has callers that only it can serve. */
static bool is_needed(const struct sb_server *server)
{
    return server->config.accept == SB_ACCEPT_REUSEPORT;
}

/* Whether to try once more what could not begin; `tries` goes up. */
static bool tries_again(const struct sb_server *server, int *tries)
{
    if (++*tries == TRIES || sb_signals_stopping(&server->signals))
        return false;
    sb_nap(PAUSE_MS);
    return true;
}

static int serve(struct sb_server *server)
{
    int64_t begun_ns;
    int tries = 0, r;
    do {
        begun_ns = sb_now_ns();
        r = sb_super(server, &sb_prethread_mixin)->serve_forever(server);
    } while (r < 0 && sb_now_ns() - begun_ns < BEGINNING_NS && tries_again(server, &tries));
    return r;
}

static void *run_loop(void *argument)
{
    struct loop *loop = argument;
    sb_worker.index = loop->index;
    struct sb_server *server = loop->server;
    struct state *state = sb_state(server, &sb_prethread_mixin);
    loop->result = serve(server);
    bool is_last = atomic_fetch_sub(&state->running, 1) == 1;
    if (loop->result < 0 && (is_last || is_needed(server)))
        give_up(server, loop->result);
    return NULL;
}

static int start_loop(struct loop *loop)
{
    int tries = 0, r;
    do
        r = sb_thread_start(true, run_loop, loop, &loop->thread);
    while (r < 0 && tries_again(loop->server, &tries));
    return r;
}

/* Fewer than asked for will do, where none is needed. */
static int start_loops(struct sb_server *server, struct loop *loops, int count)
{
    struct state *state = sb_state(server, &sb_prethread_mixin);
    int started = 0, r = 0;
    atomic_store(&state->running, count);
    for (; r == 0 && started < count; started += r == 0) {
        struct loop *loop = &loops[started];
        *loop = (struct loop){ .server = server, .index = sb_worker.index * count + started };
        r = start_loop(loop);
    }
    if (r < 0 && started > 0)
        sb_server_log(server, SB_LOG_ERROR, "only %d of %d threads could be started: %s", started, count, strerror(-r));
    atomic_fetch_sub(&state->running, count - started);
    if (r < 0 && is_needed(server))
        give_up(server, r);
    return started > 0 ? started : r;
}

/* Until a stop or, in a worker of prefork, its retirement; under pass this thread accepts for the others. */
static void supervise(struct sb_gate *gate)
{
    struct sb_request *request;
    int r;
    if (sb_worker.slot)
        sb_slot_enter(sb_worker.slot, SB_WAITING);
    while ((r = sb_gate_next(gate, -1, &request)) >= 0)
        if (r == 1)
            sb_channel_send(gate->server, request);
}

static int join_loops(struct loop *loops, int count)
{
    int r = 0;
    for (int i = 0; i < count; i++) {
        pthread_join(loops[i].thread, NULL);
        r = r < 0 ? r : loops[i].result;
    }
    return r;
}

/* With a gate of its own, before any loop can say that the server is ready. */
static int run(struct sb_server *server, struct loop *loops, int threads)
{
    struct sb_gate gate;
    int r = sb_gate_open(&gate, server, SB_GATE_SUPERVISOR);
    int count = r < 0 ? r : start_loops(server, loops, threads);
    if (count > 0) {
        supervise(&gate);
        sb_channel_end(server);
        /* The loops' own requests only: who hands them on leaves them to server_close. */
        if (!(server->traits & SB_DISPATCHES))
            sb_drain(server);
        count = join_loops(loops, count);
    }
    if (r == 0)
        sb_gate_close(&gate);
    return count;
}

static int serve_forever(struct sb_server *server)
{
    struct state *state = sb_state(server, &sb_prethread_mixin);
    /* A loop holds a place while it waits, and under reuseport nobody else can take its callers. */
    if (server->config.accept == SB_ACCEPT_REUSEPORT)
        sb_places_set_limit(&server->books.places, MAX(server->books.places.limit, state->threads));
    bool passes = server->config.accept == SB_ACCEPT_PASS && !server->channel;
    struct loop *loops = calloc(state->threads, sizeof *loops);
    int r = loops ? 0 : -ENOMEM;
    if (r == 0 && passes)
        r = sb_channel_open(server);
    if (r == 0)
        r = run(server, loops, state->threads);
    if (passes)
        sb_channel_close(server);
    free(loops);
    return r;
}

const struct sb_class sb_prethread_mixin = {
    .name = "prethread",
    .summary = "N threads that each accept and handle: prethread:N",
    .traits = SB_CONCURRENT | SB_LOOPS,
    .state_size = sizeof(struct state),
    .workers = 8,
    .init = init,
    .serve_forever = serve_forever,
};
