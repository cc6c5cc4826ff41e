/* Deadlines of many waiters: a hierarchical timing wheel (Varghese and Lauck, 1987), in which setting, clearing and
 * expiring cost the same with ten waiters and with ten thousand. Private. One thread. */
#ifndef FIBER_TIMERS_H
#define FIBER_TIMERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

enum { SB_WHEELS = 7, SB_WHEEL_SLOTS = 64 };

struct sb_timer {
    LIST_ENTRY(sb_timer) link;          /* zeroed: not set */
    uint64_t tick;
};

LIST_HEAD(sb_timer_slot, sb_timer);

/* A tick is a millisecond. Wheel w has slots of 64^w ticks; seven wheels reach 139 years. */
struct sb_timers {
    uint64_t now;
    uint64_t occupied[SB_WHEELS];       /* a bit for each slot */
    struct sb_timer_slot slots[SB_WHEELS][SB_WHEEL_SLOTS];
};

void sb_timers_init(struct sb_timers *timers, uint64_t now);

/* Sets a timer that is not set; clears one that may be. A tick that is over expires at the next sb_timers_expire(). */
void sb_timer_set(struct sb_timers *timers, struct sb_timer *timer, uint64_t tick);
void sb_timer_clear(struct sb_timer *timer);
bool sb_timer_is_set(const struct sb_timer *timer);

/* The tick at which to look again, UINT64_MAX when no timer is set. Never later than the first timer. */
uint64_t sb_timers_next(const struct sb_timers *timers);

/* Moves the wheels to now, and takes one timer that has expired off them; NULL when there is no more. */
struct sb_timer *sb_timers_expire(struct sb_timers *timers, uint64_t now);

#endif
