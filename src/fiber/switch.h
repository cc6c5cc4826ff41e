/* Fibers: functions with stacks of their own that one thread runs in turns. Only the switch and the stacks; who runs
 * when is loop.c's business. Private. A pool and its fibers belong to one thread. */
#ifndef FIBER_SWITCH_H
#define FIBER_SWITCH_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

struct sb_context {
    jmp_buf registers;
    const void *stack_bottom;   /* the rest is what the sanitizers want to know */
    size_t stack_size;
    void *fake_stack, *tsan_fiber;
};

/* At the high end of its own stack, which lies in a mapping with a guard at the low end. */
struct sb_fiber {
    struct sb_context context;
    struct sb_fiber_pool *pool;
    SLIST_ENTRY(sb_fiber) link; /* among the idle ones */
    char *mapping;
    void (*run)(void *argument);
    void *argument;
    bool begun, ended;
};

struct sb_fiber_pool {
    size_t stack_size;          /* bytes without the guard, a multiple of the page size */
    struct sb_context loop;     /* of whoever runs the fibers */
    SLIST_HEAD(, sb_fiber) idle;    /* the one that ended last comes first */
    unsigned n_idle, n_used, n_made;
    bool splits;                /* the guard is a page without access, not a mark in the page tables */
};

void sb_fiber_pool_init(struct sb_fiber_pool *pool, size_t stack_size);
void sb_fiber_pool_finish(struct sb_fiber_pool *pool);

/* An idle fiber, or NULL when memory or mappings have run out. Put back when it has ended; after a peak its memory goes
 * back to the system. */
struct sb_fiber *sb_fiber_get(struct sb_fiber_pool *pool);
void sb_fiber_put(struct sb_fiber *fiber);

/* Runs run(argument) on the fiber's stack. 0 when it parks or ends; -errno: it has not begun. */
int sb_fiber_start(struct sb_fiber *fiber, void (*run)(void *argument), void *argument);

/* Goes on where the fiber has parked. Returns when it parks again or ends. */
void sb_fiber_resume(struct sb_fiber *fiber);

/* From inside: back to whoever has started or resumed it. */
void sb_fiber_park(struct sb_fiber *fiber);

/* Whether an address lies in the guard: what a stack overflow touches. Async-signal-safe. */
bool sb_fiber_overflows(const struct sb_fiber *fiber, const void *address);

#endif
