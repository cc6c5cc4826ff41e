/* ThreadingMixIn: a thread for each request (UNP 30, design 6). */
#include <errno.h>
#include <stdlib.h>

#include "../ground/thread.h"
#include "../objects.h"

struct thread {
    struct sb_request *request;
    pthread_t id;
    SLIST_ENTRY(thread) link;
};

SLIST_HEAD(threads, thread);

struct state {
    pthread_mutex_t lock;       /* guards all below */
    pthread_cond_t idle;        /* the last thread has ended */
    unsigned running;
    struct threads ended;       /* not yet joined: by the loop, with its next request, or by close */
    bool closed;                /* nobody will join those that still run, and each holds the server */
};

static void begin(struct sb_server *server)
{
    struct state *state = sb_state(server, &sb_threading_mixin);
    *state = (struct state){ .running = 0 };
    pthread_mutex_init(&state->lock, NULL);
    pthread_cond_init(&state->idle, NULL);
}

static bool is_joinable(const struct sb_server *server)
{
    return server->config.block_on_close && !server->config.daemon_threads;
}

static void end_thread(struct sb_server *server, struct thread *thread)
{
    struct state *state = sb_state(server, &sb_threading_mixin);
    pthread_mutex_lock(&state->lock);
    bool closed = state->closed, joins = is_joinable(server) && !closed;
    thread->id = pthread_self();
    if (joins)
        SLIST_INSERT_HEAD(&state->ended, thread, link);
    else if (is_joinable(server))
        pthread_detach(thread->id);
    if (--state->running == 0)
        pthread_cond_broadcast(&state->idle);
    pthread_mutex_unlock(&state->lock);
    if (!joins)
        free(thread);
    if (closed)
        sb_server_unref(server);
}

static void *process_request_thread(void *argument)
{
    struct thread *thread = argument;
    struct sb_server *server = thread->request->server;
    struct sb_crew *crew = &server->crew;
    struct sb_slot *slot = sb_slot_claim(crew, &crew->slot_hint, 0);
    sb_slot_occupy(crew, slot, 0);
    sb_super(server, &sb_threading_mixin)->process_request(thread->request);
    sb_slot_release(crew, &crew->slot_hint, slot, SB_FREE);
    end_thread(server, thread);
    return NULL;
}

/* With the lock held. Those that have said that they end, but have not come to it yet, are left for later: a thread
 * that waited for another one would wait in line with all that ended before. */
static void join_ended(struct state *state)
{
    struct thread *thread, *next;
    struct threads later = SLIST_HEAD_INITIALIZER(later);
    for (thread = SLIST_FIRST(&state->ended); thread; thread = next) {
        next = SLIST_NEXT(thread, link);
        if (pthread_tryjoin_np(thread->id, NULL) == EBUSY)
            SLIST_INSERT_HEAD(&later, thread, link);
        else
            free(thread);
    }
    state->ended = later;
}

static void count(struct state *state, int change)
{
    pthread_mutex_lock(&state->lock);
    state->running += change;
    join_ended(state);
    pthread_mutex_unlock(&state->lock);
}

static int process_request(struct sb_request *request)
{
    struct sb_server *server = request->server;
    struct state *state = sb_state(server, &sb_threading_mixin);
    struct thread *thread = malloc(sizeof *thread);
    pthread_t id;
    if (!thread)
        return -ENOMEM;
    thread->request = request;
    count(state, 1);
    int r = sb_thread_start(is_joinable(server), process_request_thread, thread, &id);
    if (r < 0) {
        count(state, -1);
        free(thread);
    }
    return r;
}

/* Threads that have been cut off, but do not end, keep what they use. */
static void abandon(struct sb_server *server, struct state *state)
{
    for (unsigned i = 0; i < state->running; i++)
        sb_server_ref(server);
    state->closed = true;
}

static void server_close(struct sb_server *server)
{
    struct state *state = sb_state(server, &sb_threading_mixin);
    struct thread *thread;
    sb_super(server, &sb_threading_mixin)->server_close(server);
    bool idle = sb_books_count(&server->books) == 0;
    pthread_mutex_lock(&state->lock);
    while (is_joinable(server) && idle && state->running > 0)
        pthread_cond_wait(&state->idle, &state->lock);
    abandon(server, state);
    struct threads ended = state->ended;
    SLIST_INIT(&state->ended);
    pthread_mutex_unlock(&state->lock);
    while ((thread = SLIST_FIRST(&ended)) != NULL) {
        SLIST_REMOVE_HEAD(&ended, link);
        pthread_join(thread->id, NULL);
        free(thread);
    }
}

const struct sb_class sb_threading_mixin = {
    .name = "thread",
    .summary = "a thread for each request",
    .traits = SB_CONCURRENT | SB_DISPATCHES,
    .state_size = sizeof(struct state),
    .begin = begin,
    .process_request = process_request,
    .server_close = server_close,
};
