/* ThreadingMixIn: a thread for each request (UNP 30, design 6). */
#include <errno.h>
#include <stdlib.h>

#include "../thread.h"
#include "../worker.h"

struct thread {
    struct sb_request *request;
    pthread_t id;
    struct thread *next;
};

struct state {                  /* guarded by server->lock */
    unsigned running;
    struct thread *ended;       /* not yet joined: by the loop, with its next request, or by close */
    bool closed;                /* nobody will join those that still run */
};

static bool is_joinable(const struct sb_server *server)
{
    return server->config.block_on_close && !server->config.daemon_threads;
}

static void end_thread(struct sb_server *server, struct thread *thread)
{
    struct state *state = sb_state(server, &sb_threading_mixin);
    pthread_mutex_lock(&server->lock);
    bool joins = is_joinable(server) && !state->closed;
    thread->id = pthread_self();
    thread->next = state->ended;
    if (joins)
        state->ended = thread;
    else if (state->closed)
        pthread_detach(thread->id);
    if (--state->running == 0)
        pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
    if (!joins)
        free(thread);
}

static void *process_request_thread(void *argument)
{
    struct thread *thread = argument;
    struct sb_server *server = thread->request->server;
    struct sb_slot *slot = sb_slot_claim(server, 0);
    sb_slot_occupy(server, slot, 0);
    sb_super(server, &sb_threading_mixin)->process_request(thread->request);
    sb_slot_release(server, slot, SB_FREE);
    end_thread(server, thread);
    sb_server_unref(server);
    return NULL;
}

/* With server->lock held. Those that have said that they end, but have not come to it yet, are left for later: a thread
 * that waited for another one would wait in line with all that ended before. */
static void join_ended(struct state *state)
{
    for (struct thread **link = &state->ended; *link;) {
        struct thread *thread = *link;
        if (pthread_tryjoin_np(thread->id, NULL) == EBUSY) {
            link = &thread->next;
            continue;
        }
        *link = thread->next;
        free(thread);
    }
}

static void count(struct sb_server *server, int change)
{
    struct state *state = sb_state(server, &sb_threading_mixin);
    pthread_mutex_lock(&server->lock);
    state->running += change;
    join_ended(state);
    pthread_mutex_unlock(&server->lock);
}

static int process_request(struct sb_request *request)
{
    struct sb_server *server = request->server;
    struct thread *thread = malloc(sizeof *thread);
    pthread_t id;
    if (!thread)
        return -ENOMEM;
    thread->request = request;
    sb_server_ref(server);
    count(server, 1);
    int r = sb_thread_start(is_joinable(server), process_request_thread, thread, &id);
    if (r < 0) {
        count(server, -1);
        sb_server_unref(server);
        free(thread);
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
    struct thread *ended = state->ended, *next;
    state->ended = NULL;
    state->closed = true;
    pthread_mutex_unlock(&server->lock);
    for (; ended; ended = next) {
        next = ended->next;
        pthread_join(ended->id, NULL);
        free(ended);
    }
}

const struct sb_class sb_threading_mixin = {
    .name = "thread",
    .summary = "a thread for each request",
    .traits = SB_CONCURRENT | SB_DISPATCHES,
    .state_size = sizeof(struct state),
    .process_request = process_request,
    .server_close = server_close,
};
