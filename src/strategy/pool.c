/* A thread pool: the loop accepts, N threads handle, a bounded queue between them (UNP 30, design 8). */
#include <errno.h>
#include <stdlib.h>
#include <sys/param.h>
#include <unistd.h>

#include "../ground/thread.h"
#include "../objects.h"

struct state {
    int threads;
    pthread_mutex_t lock;               /* guards all below */
    pthread_cond_t filled;
    bool ending;
    struct sb_request **queue;          /* a ring of `size`, the server's limit, which keeps it from overflowing */
    unsigned size, first, length;
    pthread_t *thread;
    int n_started;
};

static void finish(struct sb_server *server)
{
    struct state *state = sb_state(server, &sb_pool_mixin);
    free(state->queue);
    free(state->thread);
}

static int init(struct sb_server *server, const char *argument)
{
    struct state *state = sb_state(server, &sb_pool_mixin);
    state->threads = sb_parse_count(server, &sb_pool_mixin, argument, sb_pool_mixin.workers, 10000);
    if (state->threads < 0)
        return state->threads;
    server->crew.slots += state->threads;
    struct sb_places *places = &server->books.places;
    sb_places_set_limit(places, MIN(places->limit, server->config.queue_size + state->threads));
    state->thread = calloc(state->threads, sizeof *state->thread);
    return state->thread ? 0 : -ENOMEM;
}

static void begin(struct sb_server *server)
{
    struct state *state = sb_state(server, &sb_pool_mixin);
    pthread_mutex_init(&state->lock, NULL);
    pthread_cond_init(&state->filled, NULL);
    state->n_started = state->length = 0;
}

/* The next request, or NULL when the pool ends and nothing is left. */
static struct sb_request *take(struct state *state)
{
    struct sb_request *request = NULL;
    pthread_mutex_lock(&state->lock);
    while (state->length == 0 && !state->ending)
        pthread_cond_wait(&state->filled, &state->lock);
    if (state->length > 0) {
        request = state->queue[state->first];
        state->first = (state->first + 1) % state->size;
        state->length--;
    }
    pthread_mutex_unlock(&state->lock);
    return request;
}

static void *work(void *argument)
{
    struct sb_server *server = argument;
    struct state *state = sb_state(server, &sb_pool_mixin);
    struct sb_slot *slot = sb_slot_claim(&server->crew, &server->crew.slot_hint, 0);
    struct sb_request *request;
    sb_slot_occupy(&server->crew, slot, gettid());
    sb_slot_enter(slot, SB_WAITING);
    while ((request = take(state)) != NULL) {
        sb_super(server, &sb_pool_mixin)->process_request(request);
        sb_slot_enter(slot, SB_WAITING);
    }
    sb_slot_release(&server->crew, &server->crew.slot_hint, slot, SB_FREE);
    sb_server_unref(server);
    return NULL;
}

/* With the first request, so that under prefork each worker process starts its own. Fewer than asked for will do. */
static int start(struct sb_server *server, struct state *state)
{
    int r = 0;
    if (!state->queue) {
        state->size = server->books.places.limit;
        state->queue = calloc(state->size, sizeof *state->queue);
        r = state->queue ? 0 : -ENOMEM;
    }
    while (r == 0 && state->n_started < state->threads) {
        sb_server_ref(server);
        r = sb_thread_start(true, work, server, &state->thread[state->n_started]);
        state->n_started += r == 0;
        if (r < 0)
            sb_server_unref(server);
    }
    if (r < 0 && state->n_started > 0)
        sb_shortage_begins(&server->shortage, &server->log, "cannot start all threads of the pool", r);
    return state->n_started > 0 ? 0 : r;
}

static int process_request(struct sb_request *request)
{
    struct sb_server *server = request->server;
    struct state *state = sb_state(server, &sb_pool_mixin);
    pthread_mutex_lock(&state->lock);
    int r = start(server, state);
    if (r == 0)
        state->queue[(state->first + state->length++) % state->size] = request;
    pthread_mutex_unlock(&state->lock);
    if (r == 0)
        pthread_cond_signal(&state->filled);
    return r;
}

static void join_threads(struct sb_server *server, struct state *state)
{
    pthread_mutex_lock(&state->lock);
    state->ending = true;
    pthread_cond_broadcast(&state->filled);
    pthread_mutex_unlock(&state->lock);
    bool idle = sb_books_count(&server->books) == 0;
    for (int i = 0; i < state->n_started; i++) {
        if (idle)
            pthread_join(state->thread[i], NULL);
        else
            pthread_detach(state->thread[i]);
    }
    state->n_started = 0;
}

static void server_close(struct sb_server *server)
{
    struct state *state = sb_state(server, &sb_pool_mixin);
    sb_super(server, &sb_pool_mixin)->server_close(server);
    join_threads(server, state);
}

const struct sb_class sb_pool_mixin = {
    .name = "pool",
    .summary = "the loop accepts, a fixed number of threads handle: pool:N",
    .traits = SB_CONCURRENT | SB_DISPATCHES,
    .state_size = sizeof(struct state),
    .workers = 8,
    .init = init,
    .finish = finish,
    .begin = begin,
    .process_request = process_request,
    .server_close = server_close,
};
