#include "offload.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "../ground/clock.h"
#include "../ground/thread.h"

#define THREADS_MAX 4

struct job {
    void (*run)(void *argument);
    void *argument;
    struct sb_wakeup done;
    STAILQ_ENTRY(job) link;
};

struct sb_helpers {
    pthread_mutex_t lock;       /* guards all below */
    pthread_cond_t filled;
    STAILQ_HEAD(, job) jobs;
    bool ending;
    unsigned n_threads, n_idle;
    pthread_t threads[THREADS_MAX];
};

static struct job *take(struct sb_helpers *helpers)
{
    pthread_mutex_lock(&helpers->lock);
    helpers->n_idle++;
    while (STAILQ_EMPTY(&helpers->jobs) && !helpers->ending)
        pthread_cond_wait(&helpers->filled, &helpers->lock);
    helpers->n_idle--;
    struct job *job = STAILQ_FIRST(&helpers->jobs);
    if (job)
        STAILQ_REMOVE_HEAD(&helpers->jobs, link);
    pthread_mutex_unlock(&helpers->lock);
    return job;
}

static void *help(void *argument)
{
    struct job *job;
    while ((job = take(argument)) != NULL) {
        job->run(job->argument);
        sb_wakeup_set(&job->done);
    }
    return NULL;
}

/* With the lock held. One more thread where all are busy; the first one must be had. */
static int add_thread(struct sb_helpers *helpers)
{
    if (helpers->n_idle > 0 || helpers->n_threads == THREADS_MAX)
        return 0;
    int r = sb_thread_start(true, help, helpers, &helpers->threads[helpers->n_threads]);
    helpers->n_threads += r == 0;
    return helpers->n_threads > 0 ? 0 : r;
}

static int put(struct sb_helpers *helpers, struct job *job)
{
    pthread_mutex_lock(&helpers->lock);
    int r = add_thread(helpers);
    if (r == 0) {
        STAILQ_INSERT_TAIL(&helpers->jobs, job, link);
        pthread_cond_signal(&helpers->filled);
    }
    pthread_mutex_unlock(&helpers->lock);
    return r;
}

static void free_helpers(struct sb_helpers *helpers)
{
    pthread_cond_destroy(&helpers->filled);
    pthread_mutex_destroy(&helpers->lock);
    free(helpers);
}

static struct sb_helpers *find_helpers(struct sb_server *server)
{
    struct sb_helpers *there = atomic_load(&server->helpers), *made;
    if (there || !(made = calloc(1, sizeof *made)))
        return there;
    pthread_mutex_init(&made->lock, NULL);
    pthread_cond_init(&made->filled, NULL);
    STAILQ_INIT(&made->jobs);
    if (atomic_compare_exchange_strong(&server->helpers, &there, made))
        return made;
    free_helpers(made);     /* another thread was faster */
    return there;
}

void sb_helpers_end(struct sb_server *server)
{
    struct sb_helpers *helpers = server->helpers;
    if (!helpers)
        return;
    pthread_mutex_lock(&helpers->lock);
    helpers->ending = true;
    pthread_cond_broadcast(&helpers->filled);
    pthread_mutex_unlock(&helpers->lock);
    for (unsigned i = 0; i < helpers->n_threads; i++)
        pthread_join(helpers->threads[i], NULL);
    free_helpers(helpers);
    server->helpers = NULL;
}

/* The job uses what the caller owns, so not even the end of the server lets this return before it is done. */
static void wait_for(struct sb_request *request, const struct job *job)
{
    struct pollfd done = { .fd = job->done.fd, .events = POLLIN };
    if (sb_wait_fd(request, job->done.fd, POLLIN, -1) < 0)
        while (poll(&done, 1, -1) < 0)
            sb_nap(1);
}

int sb_offload(struct sb_request *request, void (*run)(void *argument), void *argument)
{
    if (!(request->server->traits & SB_YIELDS)) {
        run(argument);
        return 0;
    }
    struct job job = { .run = run, .argument = argument };
    struct sb_helpers *helpers = find_helpers(request->server);
    int r = helpers ? sb_wakeup_init(&job.done, 0) : -ENOMEM;
    if (r == 0)
        r = put(helpers, &job);
    if (r == 0)
        wait_for(request, &job);
    if (helpers)
        sb_wakeup_finish(&job.done);
    return r;
}
