/* ThreadingMixIn: a thread for each request (UNP 30, design 6). */
#include "../thread.h"
#include "../worker.h"

struct state {                  /* guarded by server->lock */
    unsigned running;
    pthread_t last;             /* ended last and not yet joined: the next to end joins it, and close the very last */
    bool has_last;
    bool closed;                /* nobody will join those that still run */
};

static bool is_joinable(const struct sb_server *server)
{
    return server->config.block_on_close && !server->config.daemon_threads;
}

static void end_thread(struct sb_server *server)
{
    struct state *state = sb_state(server, &sb_threading_mixin);
    pthread_mutex_lock(&server->lock);
    bool joins = state->has_last;
    pthread_t previous = state->last;
    state->last = pthread_self();
    state->has_last = is_joinable(server) && !state->closed;
    if (state->closed)
        pthread_detach(pthread_self());
    if (--state->running == 0)
        pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
    if (joins)
        pthread_join(previous, NULL);
}

static void *process_request_thread(void *argument)
{
    struct sb_request *request = argument;
    struct sb_server *server = request->server;
    struct sb_slot *slot = sb_slot_claim(server, 0);
    sb_slot_occupy(server, slot, 0);
    sb_super(server, &sb_threading_mixin)->process_request(request);
    sb_slot_release(server, slot, SB_FREE);
    end_thread(server);
    sb_server_unref(server);
    return NULL;
}

static void count(struct sb_server *server, int change)
{
    struct state *state = sb_state(server, &sb_threading_mixin);
    pthread_mutex_lock(&server->lock);
    state->running += change;
    pthread_mutex_unlock(&server->lock);
}

static int process_request(struct sb_request *request)
{
    struct sb_server *server = request->server;
    pthread_t thread;
    sb_server_ref(server);
    count(server, 1);
    int r = sb_thread_start(is_joinable(server), process_request_thread, request, &thread);
    if (r < 0) {
        count(server, -1);
        sb_server_unref(server);
    }
    return r;
}

static void server_close(struct sb_server *server)
{
    struct state *state = sb_state(server, &sb_threading_mixin);
    sb_super(server, &sb_threading_mixin)->server_close(server);
    if (!is_joinable(server))
        return;
    pthread_mutex_lock(&server->lock);
    while (state->running > 0 && !server->requests)
        pthread_cond_wait(&server->changed, &server->lock);
    bool joins = state->has_last;
    pthread_t last = state->last;
    state->has_last = false;
    state->closed = true;
    pthread_mutex_unlock(&server->lock);
    if (joins)
        pthread_join(last, NULL);
}

const struct sb_class sb_threading_mixin = {
    .name = "thread",
    .summary = "a thread for each request",
    .traits = SB_CONCURRENT | SB_DISPATCHES,
    .state_size = sizeof(struct state),
    .process_request = process_request,
    .server_close = server_close,
};
