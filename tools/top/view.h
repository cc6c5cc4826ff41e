/* What top shows of a server: two snapshots, and what has happened between them. */
#ifndef TOP_VIEW_H
#define TOP_VIEW_H

#include "../snapshot.h"

struct view {
    const char *target;
    struct snapshot now, before;        /* before.generations NULL: there is none */
};

/* Takes the next snapshot: 0 or as snapshot_take(), and the last one stays. finish: frees both. */
int view_look(struct view *view);
void view_finish(struct view *view);

/* Of a total between the two, each second; 0 while there is only one. */
double view_rate(const struct view *view, uint64_t now, uint64_t before);

/* Of a worker of a generation, requests each second. */
double view_worker_rate(const struct view *view, const struct snapshot_generation *generation,
                        const struct snapshot_worker *worker);

/* Generations that retire. */
unsigned view_retiring(const struct view *view);

#endif
