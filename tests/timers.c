/* The timing wheel against a plain list that is searched from end to end. */
#include "suite.h"
#include "../src/fiber/timers.h"
#include <stdlib.h>

TestSuite(timers, .timeout = 600);

enum { TIMERS = 200, STEPS = 20000, SEEDS = 12 };

/* Where now may stand: at the beginning, and just before a digit of the wheels turns over, even the highest one, which
 * a machine reaches after two years. */
static uint64_t begin_at(unsigned n)
{
    return n == 0 ? 0 : (UINT64_C(1) << (6 * (n % 6 + 1))) * (n / 6 + 1) - 100;
}

struct list {
    struct sb_timer timers[TIMERS];
    uint64_t tick[TIMERS];
    bool set[TIMERS];
};

static uint64_t first_of(const struct list *list)
{
    uint64_t first = UINT64_MAX;
    for (int i = 0; i < TIMERS; i++)
        if (list->set[i] && list->tick[i] < first)
            first = list->tick[i];
    return first;
}

/* Deadlines of all sizes: as many of a millisecond as of a year. */
static uint64_t random_distance(unsigned *seed, int bits)
{
    uint64_t random = (uint64_t)rand_r(seed) << 31 ^ rand_r(seed);
    return random & ((UINT64_C(1) << (rand_r(seed) % bits)) - 1);
}

static void set_or_clear(struct sb_timers *timers, struct list *list, uint64_t now, unsigned *seed)
{
    int n = rand_r(seed) % TIMERS;
    if (list->set[n]) {
        sb_timer_clear(&list->timers[n]);
        list->set[n] = false;
        return;
    }
    /* Some are over when they are set. */
    uint64_t tick = now + random_distance(seed, 35), over = rand_r(seed) % 8 == 0 ? rand_r(seed) % 50 : 0;
    list->tick[n] = tick > over ? tick - over : 0;
    list->set[n] = true;
    sb_timer_set(timers, &list->timers[n], list->tick[n]);
}

static void expire(struct sb_timers *timers, struct list *list, uint64_t now)
{
    struct sb_timer *timer;
    while ((timer = sb_timers_expire(timers, now)) != NULL) {
        int n = timer - list->timers;
        cr_assert(n >= 0 && n < TIMERS && list->set[n], "a timer that was not set has expired");
        cr_assert(list->tick[n] <= now, "a timer has expired too early");
        list->set[n] = false;
        sb_timer_clear(timer);      /* allowed: it is not set */
    }
    cr_assert(first_of(list) > now, "a timer is late");
}

static void check_next(const struct sb_timers *timers, const struct list *list, uint64_t now)
{
    uint64_t next = sb_timers_next(timers), first = first_of(list);
    cr_assert(next <= (first > now ? first : now), "a sleep until %llu would miss the timer at %llu",
              (unsigned long long)next, (unsigned long long)first);
    cr_assert(first != UINT64_MAX || next == UINT64_MAX, "it wakes up for nothing");
}

Test(timers, expire_as_in_a_plain_list)
{
    for (unsigned seed = 0; seed < SEEDS; seed++) {
        struct sb_timers timers;
        struct list list = { 0 };
        uint64_t now = begin_at(seed);
        unsigned random = seed + 1;
        sb_timers_init(&timers, now);
        for (int step = 0; step < STEPS; step++) {
            set_or_clear(&timers, &list, now, &random);
            check_next(&timers, &list, now);
            if (rand_r(&random) % 4 > 0)
                continue;
            now += random_distance(&random, 24);
            expire(&timers, &list, now);
        }
    }
}

/* As the loop does it: sleep until next, and nothing else. */
static unsigned sleep_until_expired(struct sb_timers *timers, uint64_t tick)
{
    unsigned sleeps = 0;
    uint64_t now;
    do {
        now = sb_timers_next(timers);
        cr_assert(now <= tick, "it would sleep until %llu, past %llu", (unsigned long long)now,
                  (unsigned long long)tick);
        cr_assert(++sleeps < 2 * SB_WHEELS, "it wakes up over and over");
    } while (!sb_timers_expire(timers, now));
    cr_assert_eq(now, tick, "it expired at another time");
    cr_assert_eq(sb_timers_next(timers), UINT64_MAX);
    return sleeps;
}

static void check_distance(uint64_t begin, uint64_t distance)
{
    struct sb_timers timers;
    struct sb_timer timer = { 0 };
    sb_timers_init(&timers, begin);
    sb_timer_set(&timers, &timer, begin + distance);
    sleep_until_expired(&timers, begin + distance);
}

Test(timers, every_distance_from_everywhere_expires_in_its_tick)
{
    for (unsigned n = 0; n < 40; n++) {
        for (uint64_t distance = 0; distance < 5000; distance++)
            check_distance(begin_at(n), distance);
        for (int bits = 13; bits < 36; bits++)
            for (int more = -1; more <= 1; more++)
                check_distance(begin_at(n), (UINT64_C(1) << bits) + more);
    }
}

Test(timers, a_timer_of_a_sleeper_who_slept_too_long_expires_at_once)
{
    struct sb_timers timers;
    struct sb_timer early = { 0 }, late = { 0 };
    sb_timers_init(&timers, 1000);
    sb_timer_set(&timers, &early, 5);
    cr_assert_eq(sb_timers_next(&timers), 1000);
    sb_timer_set(&timers, &late, 2000);
    cr_assert_eq(sb_timers_expire(&timers, 500000), &early);
    cr_assert_eq(sb_timers_expire(&timers, 500000), &late);
    cr_assert(!sb_timers_expire(&timers, 500000));
    sb_timer_set(&timers, &early, 400000);
    cr_assert_eq(sb_timers_expire(&timers, 500000), &early);
}

Test(timers, many_in_one_tick_all_expire_but_those_that_are_cleared)
{
    struct sb_timers timers;
    struct sb_timer all[100] = { 0 };
    sb_timers_init(&timers, 77);
    for (int i = 0; i < 100; i++)
        sb_timer_set(&timers, &all[i], 70000);
    for (int i = 0; i < 100; i += 2)
        sb_timer_clear(&all[i]);
    int expired = 0;
    for (struct sb_timer *timer; (timer = sb_timers_expire(&timers, 70000)) != NULL; expired++)
        cr_assert_eq((timer - all) % 2, 1);
    cr_assert_eq(expired, 50);
    cr_assert_eq(sb_timers_next(&timers), UINT64_MAX);
}
