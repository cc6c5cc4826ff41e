#include "view.h"

#include <stddef.h>

int view_look(struct view *view)
{
    struct snapshot next;
    int r = snapshot_take(view->target, &next);
    if (r < 0)
        return r;
    snapshot_free(&view->before);
    view->before = view->now;
    view->now = next;
    return 0;
}

void view_finish(struct view *view)
{
    snapshot_free(&view->before);
    snapshot_free(&view->now);
}

double view_rate(const struct view *view, uint64_t now, uint64_t before)
{
    uint64_t ns = view->now.taken_ns - view->before.taken_ns;
    if (!view->before.generations || ns == 0 || now < before)
        return 0;
    return (double)(now - before) * 1e9 / (double)ns;
}

static const struct snapshot_worker *find_worker(const struct snapshot_generation *generation,
                                                 const struct snapshot_worker *wanted)
{
    for (unsigned i = 0; i < generation->n_workers; i++) {
        const struct snapshot_worker *worker = &generation->workers[i];
        if (worker->worker == wanted->worker && worker->pid == wanted->pid && worker->tid == wanted->tid &&
            worker->served <= wanted->served)
            return worker;
    }
    return NULL;
}

double view_worker_rate(const struct view *view, const struct snapshot_generation *generation,
                        const struct snapshot_worker *worker)
{
    for (unsigned i = 0; i < view->before.n_generations; i++) {
        const struct snapshot_generation *before = &view->before.generations[i];
        const struct snapshot_worker *same = before->pid == generation->pid ? find_worker(before, worker) : NULL;
        if (same)
            return view_rate(view, worker->served, same->served);
    }
    return 0;
}

unsigned view_retiring(const struct view *view)
{
    unsigned count = 0;
    for (unsigned i = 0; i < view->now.n_generations; i++)
        count += view->now.generations[i].state == SB_GENERATION_RETIRING;
    return count;
}
