#include "places.h"

#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/param.h>

/* Places that a share takes at a time; with twice as many to spare it gives some back. */
#define BATCH 8

void sb_places_prepare(struct sb_places *places)
{
    places->room.fd = -1;
    LIST_INIT(&places->shares);
    pthread_mutex_init(&places->lock, NULL);
}

int sb_places_init(struct sb_places *places, int limit)
{
    places->limit = limit;
    atomic_store(&places->pool, limit);
    return sb_wakeup_init(&places->room, EFD_SEMAPHORE);
}

void sb_places_finish(struct sb_places *places)
{
    sb_wakeup_finish(&places->room);
    pthread_mutex_destroy(&places->lock);
}

void sb_places_set_limit(struct sb_places *places, int limit)
{
    atomic_fetch_add(&places->pool, limit - places->limit);
    places->limit = limit;
}

/* Another thread of the parent may have held the lock. */
int sb_places_adopt(struct sb_places *places, bool keep)
{
    pthread_mutex_init(&places->lock, NULL);
    atomic_store(&places->waiting, 0);
    if (keep)
        return 0;
    LIST_INIT(&places->shares);
    atomic_store(&places->pool, places->limit);
    sb_wakeup_finish(&places->room);
    return sb_wakeup_init(&places->room, EFD_SEMAPHORE);
}

/* Takes as many as there are, at most `most`. */
static int take(atomic_int *from, int most)
{
    int there = atomic_load(from);
    while (there > 0 && !atomic_compare_exchange_weak(from, &there, there - MIN(there, most)))
        ;
    return there > 0 ? MIN(there, most) : 0;
}

static void wake_for_room(const struct sb_places *places)
{
    if (atomic_load(&places->waiting) > 0)
        sb_wakeup_set(&places->room);
}

static void put_back(struct sb_share *share)
{
    if (atomic_fetch_add(&share->spare, 1) >= 2 * BATCH)
        atomic_fetch_add(&share->places->pool, take(&share->spare, BATCH));
    wake_for_room(share->places);
}

/* --- a share ------------------------------------------------------------------------------------------------------ */

void sb_share_open(struct sb_share *share, struct sb_places *places)
{
    share->places = places;
    pthread_mutex_lock(&places->lock);
    LIST_INSERT_HEAD(&places->shares, share, link);
    pthread_mutex_unlock(&places->lock);
}

void sb_share_close(struct sb_share *share)
{
    sb_share_release(share);
    atomic_fetch_add(&share->places->pool, take(&share->spare, INT32_MAX));
    wake_for_room(share->places);
}

void sb_share_forget(struct sb_share *share)
{
    pthread_mutex_lock(&share->places->lock);
    LIST_REMOVE(share, link);
    pthread_mutex_unlock(&share->places->lock);
}

/* With the lock held: what all have to spare. */
static int collect(struct sb_places *places)
{
    struct sb_share *share;
    int n = 0;
    LIST_FOREACH(share, &places->shares, link)
        n += take(&share->spare, INT32_MAX);
    return n;
}

/* Under the lock, lest others who look meanwhile see none anywhere, and sleep. */
static int refill(struct sb_share *share)
{
    struct sb_places *places = share->places;
    pthread_mutex_lock(&places->lock);
    int n = take(&places->pool, BATCH);
    if (n == 0)
        n = collect(places);
    if (n > 1)
        atomic_fetch_add(&share->spare, n - 1);
    pthread_mutex_unlock(&places->lock);
    return n;
}

bool sb_share_reserve(struct sb_share *share)
{
    if (!share->reserved)
        share->reserved = take(&share->spare, 1) > 0 || refill(share) > 0;
    return share->reserved;
}

void sb_share_release(struct sb_share *share)
{
    if (!share->reserved)
        return;
    share->reserved = false;
    put_back(share);
}

void sb_share_overdraw(struct sb_share *share)
{
    atomic_fetch_sub(&share->spare, 1);
}

/* At once reserved for its loop's next request, unless somebody waits for it. */
void sb_share_return(struct sb_share *share, bool own)
{
    if (own && !share->reserved && atomic_load(&share->places->waiting) == 0)
        share->reserved = true;
    else
        put_back(share);
}
