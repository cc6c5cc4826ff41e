/* sb_offload: a few threads for calls that block, of a server whose requests share one. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "objects.h"
#include "thread.h"

#define THREADS_MAX 4

struct job {
    void (*run)(void *argument);
    void *argument;
    struct sb_wakeup done;
    struct job *next;
};

struct sb_helpers {
    pthread_mutex_t lock;       /* guards all below */
    pthread_cond_t filled;
    struct job *first, **last;
    bool ending;
    unsigned n_threads, n_idle;
    pthread_t threads[THREADS_MAX];
};

static struct job *take(struct sb_helpers *helpers)
{
    pthread_mutex_lock(&helpers->lock);
    helpers->n_idle++;
    while (!helpers->first && !helpers->ending)
        pthread_cond_wait(&helpers->filled, &helpers->lock);
    helpers->n_idle--;
    struct job *job = helpers->first;
    if (job && !(helpers->first = job->next))
        helpers->last = &helpers->first;
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
        *helpers->last = job;
        helpers->last = &job->next;
        pthread_cond_signal(&helpers->filled);
    }
    pthread_mutex_unlock(&helpers->lock);
    return r;
}

static struct sb_helpers *find_helpers(struct sb_server *server)
{
    pthread_mutex_lock(&server->lock);
    struct sb_helpers *helpers = server->helpers;
    if (!helpers && (helpers = server->helpers = calloc(1, sizeof *helpers)) != NULL) {
        pthread_mutex_init(&helpers->lock, NULL);
        pthread_cond_init(&helpers->filled, NULL);
        helpers->last = &helpers->first;
    }
    pthread_mutex_unlock(&server->lock);
    return helpers;
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
    pthread_cond_destroy(&helpers->filled);
    pthread_mutex_destroy(&helpers->lock);
    free(helpers);
    server->helpers = NULL;
}

/* The job uses what the caller owns, so not even the end of the server lets this return before it is done. */
static void wait_for(struct sb_request *request, const struct job *job)
{
    struct pollfd done = { .fd = job->done.fd, .events = POLLIN };
    if (sb_wait_fd(request, job->done.fd, POLLIN, -1) < 0)
        while (poll(&done, 1, -1) < 0 && errno == EINTR)
            ;
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
