/* A timer stands on the wheel of the highest 6-bit digit in which its tick differs from now. When that digit of now
 * reaches it, it moves down to the next wheel, until on the lowest one it has expired. */
#include "timers.h"

#include <stddef.h>
#include <string.h>

#define DIGIT_BITS 6
#define DIGIT(tick, wheel) ((tick) >> ((wheel) * DIGIT_BITS) & (SB_WHEEL_SLOTS - 1))

void sb_timers_init(struct sb_timers *timers, uint64_t now)
{
    memset(timers, 0, sizeof *timers);
    timers->now = now;
}

static unsigned wheel_of(const struct sb_timers *timers, uint64_t tick)
{
    uint64_t difference = tick ^ timers->now;
    unsigned wheel = difference ? (63 - __builtin_clzll(difference)) / DIGIT_BITS : 0;
    return wheel < SB_WHEELS ? wheel : SB_WHEELS - 1;
}

void sb_timer_set(struct sb_timers *timers, struct sb_timer *timer, uint64_t tick)
{
    timer->tick = tick;
    if (tick < timers->now)
        tick = timers->now;
    unsigned wheel = wheel_of(timers, tick), digit = DIGIT(tick, wheel);
    LIST_INSERT_HEAD(&timers->slots[wheel][digit], timer, link);
    timers->occupied[wheel] |= UINT64_C(1) << digit;
}

bool sb_timer_is_set(const struct sb_timer *timer)
{
    return timer->link.le_prev != NULL;
}

/* The bit of a slot that this leaves empty is cleared when somebody looks at it. */
void sb_timer_clear(struct sb_timer *timer)
{
    if (!sb_timer_is_set(timer))
        return;
    LIST_REMOVE(timer, link);
    timer->link.le_prev = NULL;
}

/* The first occupied slot of a wheel from now on, and when its turn comes; 64: none. On the upper wheels the slot of
 * now itself has been emptied already. */
static unsigned next_slot(const struct sb_timers *timers, unsigned wheel, uint64_t *ret_tick)
{
    unsigned digit = DIGIT(timers->now, wheel), shift = wheel * DIGIT_BITS;
    uint64_t ahead = timers->occupied[wheel] >> digit << digit;
    if (ahead == 0)
        return SB_WHEEL_SLOTS;
    unsigned slot = __builtin_ctzll(ahead);
    uint64_t base = timers->now >> shift >> DIGIT_BITS << DIGIT_BITS;
    uint64_t tick = (base | slot) << shift;
    *ret_tick = tick > timers->now ? tick : timers->now;
    return slot;
}

/* The wheel and the slot whose turn comes first. */
static bool next_turn(struct sb_timers *timers, unsigned *ret_wheel, unsigned *ret_slot, uint64_t *ret_tick)
{
    for (unsigned wheel = 0; wheel < SB_WHEELS; wheel++) {
        unsigned slot;
        while ((slot = next_slot(timers, wheel, ret_tick)) < SB_WHEEL_SLOTS && LIST_EMPTY(&timers->slots[wheel][slot]))
            timers->occupied[wheel] &= ~(UINT64_C(1) << slot);
        *ret_wheel = wheel;
        *ret_slot = slot;
        if (slot < SB_WHEEL_SLOTS)
            return true;
    }
    return false;
}

uint64_t sb_timers_next(const struct sb_timers *timers)
{
    unsigned wheel, slot;
    uint64_t tick;
    /* Only the bits of empty slots change. */
    return next_turn((struct sb_timers *)timers, &wheel, &slot, &tick) ? tick : UINT64_MAX;
}

static void move_down(struct sb_timers *timers, unsigned wheel, unsigned slot)
{
    struct sb_timer *timer;
    while ((timer = LIST_FIRST(&timers->slots[wheel][slot])) != NULL) {
        sb_timer_clear(timer);
        sb_timer_set(timers, timer, timer->tick);
    }
}

struct sb_timer *sb_timers_expire(struct sb_timers *timers, uint64_t now)
{
    unsigned wheel, slot;
    uint64_t tick;
    while (next_turn(timers, &wheel, &slot, &tick) && tick <= now) {
        timers->now = tick;
        struct sb_timer *timer = LIST_FIRST(&timers->slots[wheel][slot]);
        if (wheel == 0) {
            sb_timer_clear(timer);
            return timer;
        }
        move_down(timers, wheel, slot);
    }
    if (timers->now < now)
        timers->now = now;
    return NULL;
}
