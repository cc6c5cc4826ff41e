/* Who has served how much: slots of the scoreboard, put together by the worker that they belong to. */
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "subject.h"

/* A thread or fiber for one request has no tid here, and leaves a free slot; a process, one of a dead worker. */
static struct subject_worker worker_of(const struct sb_slot *slot, uint64_t served)
{
    uint32_t state = __atomic_load_n(&slot->state, __ATOMIC_RELAXED);
    bool ended = state == SB_DEAD || (state == SB_FREE && slot->tid != 0);
    return (struct subject_worker){ .pid = ended ? 0 : slot->pid, .tid = ended ? 0 : slot->tid, .served = served };
}

static int compare_ids(const void *a, const void *b)
{
    const struct subject_worker *left = a, *right = b;
    if (left->pid != right->pid)
        return left->pid < right->pid ? -1 : 1;
    return (left->tid > right->tid) - (left->tid < right->tid);
}

/* Most first, and those that have ended last. */
static int compare_served(const void *a, const void *b)
{
    const struct subject_worker *left = a, *right = b;
    if ((left->pid == 0) != (right->pid == 0))
        return left->pid == 0 ? 1 : -1;
    if (left->served != right->served)
        return left->served > right->served ? -1 : 1;
    return compare_ids(a, b);
}

static unsigned collect(const struct sb_scoreboard *board, struct subject_worker *workers)
{
    unsigned n = 0;
    for (unsigned i = 0; i < board->slot_count; i++) {
        const struct sb_slot *slot = sb_scoreboard_slot(board, i);
        uint64_t served = __atomic_load_n(&slot->served, __ATOMIC_RELAXED);
        if (served > 0)
            workers[n++] = worker_of(slot, served);
    }
    return n;
}

/* Neighbours with the same ids become one. */
static unsigned merge(struct subject_worker *workers, unsigned n)
{
    unsigned merged = 0;
    for (unsigned i = 0; i < n; i++) {
        if (merged > 0 && compare_ids(&workers[merged - 1], &workers[i]) == 0)
            workers[merged - 1].served += workers[i].served;
        else
            workers[merged++] = workers[i];
    }
    return merged;
}

unsigned subject_workers(const struct subject *subject, struct subject_worker *workers, unsigned room)
{
    const struct sb_scoreboard *board = subject->board;
    struct subject_worker *all = board ? calloc(board->slot_count, sizeof *all) : NULL;
    if (!all)
        return 0;
    unsigned n = collect(board, all);
    qsort(all, n, sizeof *all, compare_ids);
    n = merge(all, n);
    qsort(all, n, sizeof *all, compare_served);
    n = MIN(n, room);
    memcpy(workers, all, n * sizeof *all);
    free(all);
    return n;
}
