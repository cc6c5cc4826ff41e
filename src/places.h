/* Places: the right to one request more. Those of a process are shared out to its loops in batches, and never more of
 * them than the limit; a loop that needs one when all are shared out takes it from another's share that has some to
 * spare. Knows nothing of requests. Private. */
#ifndef PLACES_H
#define PLACES_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/queue.h>
#include "ground/wakeup.h"

/* Who waits for a place looks again after so long: a wakeup may fail. */
enum { SB_ROOM_LOOK_MS = 1000 };

/* Of one loop. */
struct sb_share {
    struct sb_places *places;
    bool reserved;                      /* a place for its loop's next request; that thread alone writes it */
    LIST_ENTRY(sb_share) link;          /* under the places' lock */
    _Alignas(64) atomic_int spare;      /* beside the reserved one; any thread */
};

struct sb_places {
    int limit;                          /* in all */
    struct sb_wakeup room;              /* this process: one has become free while a loop waits for it */
    _Alignas(64) atomic_int waiting;    /* loops that wait for one: read by all, and hardly ever written */
    _Alignas(64) atomic_int pool;       /* in nobody's share */
    pthread_mutex_t lock;               /* guards the list of shares, and taking more than one place */
    LIST_HEAD(, sb_share) shares;
};

/* prepare: nothing is made yet, which finish accepts. init: -EMFILE and the like. */
void sb_places_prepare(struct sb_places *places);
int sb_places_init(struct sb_places *places, int limit);
void sb_places_finish(struct sb_places *places);

/* How many there are from now on; of those given away already none is taken back. */
void sb_places_set_limit(struct sb_places *places, int limit);

/* In a forked child: the parent's other threads are not there. keep: the shares are still its own, else there are none
 * yet, and -errno where a wakeup of its own cannot be had. */
int sb_places_adopt(struct sb_places *places, bool keep);

/* A loop's share begins, empty, and ends: its places go back. What was handed over may come back to it even then. */
void sb_share_open(struct sb_share *share, struct sb_places *places);
void sb_share_close(struct sb_share *share);

/* Before the memory of a share goes. */
void sb_share_forget(struct sb_share *share);

/* By the loop's thread. reserve: whether it has a place reserved, or could be given one. release: it does not need it.
 * overdraw: a place more than there are, for who passes requests on at once. */
bool sb_share_reserve(struct sb_share *share);
void sb_share_release(struct sb_share *share);
void sb_share_overdraw(struct sb_share *share);

/* A request has ended, in the loop's own thread or in another: its place is for the next. */
void sb_share_return(struct sb_share *share, bool own);

#endif
