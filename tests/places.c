/* Places: never more than the limit, and nobody sleeps while there is one. */
#include "suite.h"

#include <poll.h>
#include <pthread.h>

#include "../src/places.h"

TestSuite(places, .timeout = 600);

enum { LOOPS = 6, ROUNDS = 3000 };

static struct sb_places places;
static struct sb_share shares[LOOPS];
static pthread_barrier_t begin, end;
static atomic_int held, most_held;

static void open_all(int limit)
{
    sb_places_prepare(&places);
    cr_assert_eq(sb_places_init(&places, limit), 0);
    for (int i = 0; i < LOOPS; i++) {
        shares[i] = (struct sb_share){ .reserved = false };
        sb_share_open(&shares[i], &places);
    }
}

static void close_all(void)
{
    for (int i = 0; i < LOOPS; i++) {
        sb_share_close(&shares[i]);
        sb_share_forget(&shares[i]);
    }
    sb_places_finish(&places);
}

Test(places, as_many_as_there_are_wherever_they_lie)
{
    open_all(11);
    for (int i = 0; i < 11; i++) {
        struct sb_share *share = &shares[i % LOOPS];
        cr_assert(sb_share_reserve(share));
        share->reserved = false;
    }
    for (int i = 0; i < LOOPS; i++)
        cr_assert(!sb_share_reserve(&shares[i]));
    sb_share_return(&shares[0], false);
    cr_assert(sb_share_reserve(&shares[1]));
    shares[1].reserved = false;
    for (int i = 0; i < 11; i++)
        sb_share_return(&shares[2], i == 0);
    sb_share_release(&shares[2]);
    close_all();
    cr_assert_eq(atomic_load(&places.pool), 11);
}

/* A loop's way to a place, as a gate does it. */
static void wait_for_place(struct sb_share *share)
{
    while (!sb_share_reserve(share)) {
        struct pollfd room = { .fd = places.room.fd, .events = POLLIN };
        atomic_fetch_add(&places.waiting, 1);
        if (!sb_share_reserve(share))
            cr_assert(poll(&room, 1, 120000) > 0, "a loop sleeps though there is a place for it");
        atomic_fetch_sub(&places.waiting, 1);
        if (room.revents)
            sb_wakeup_clear(&places.room);
    }
    share->reserved = false;
}

static void *take_and_return(void *argument)
{
    struct sb_share *share = argument;
    for (int round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&begin);
        wait_for_place(share);
        int now = atomic_fetch_add(&held, 1) + 1;
        if (now > most_held)
            most_held = now;
        atomic_fetch_sub(&held, 1);
        sb_share_return(share, round % 2);
        sb_share_release(share);
        pthread_barrier_wait(&end);
    }
    return NULL;
}

static void race(int limit)
{
    pthread_t threads[LOOPS];
    open_all(limit);
    atomic_store(&most_held, 0);
    pthread_barrier_init(&begin, NULL, LOOPS);
    pthread_barrier_init(&end, NULL, LOOPS);
    for (int i = 0; i < LOOPS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, take_and_return, &shares[i]), 0);
    for (int i = 0; i < LOOPS; i++)
        pthread_join(threads[i], NULL);
    close_all();
    cr_assert(most_held <= limit);
    cr_assert_eq(atomic_load(&places.pool), limit);
}

Test(places, nobody_sleeps_while_there_is_one)
{
    race(LOOPS);
    race(LOOPS - 2);
    race(1);
}
