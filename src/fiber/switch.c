/* A fiber is begun with ucontext(3), which can lay out a new stack, and from then on switched by _setjmp and _longjmp,
 * which save no signal mask and so make no system call. */
#undef _FORTIFY_SOURCE          /* its longjmp takes another stack for a corrupted one */
#include "switch.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define WITH_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WITH_TSAN 1
#endif
#endif

#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef WITH_TSAN
#include <sanitizer/tsan_interface.h>
#endif

/* Linux 6.13. */
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

#define KEPT_FIBERS 64

/* More than a page, which one large frame could jump over. */
#define GUARD_SIZE ((size_t)64 * 1024)

/* Stacks begin at different places of their pages: where all were alike, the same lines of all would meet in the same
 * few sets of the caches. As much as leaves a usual handler on one page. */
#define COLOURS 16
#define COLOUR_SIZE 64

/* --- stacks ------------------------------------------------------------------------------------------------------- */

void sb_fiber_pool_init(struct sb_fiber_pool *pool, size_t stack_size)
{
    size_t page = getpagesize();
    *pool = (struct sb_fiber_pool){ .stack_size = (stack_size + page - 1) / page * page };
}

/* A page without access splits its mapping in two, and mappings are counted (vm.max_map_count); a guard does not. */
static bool install_guard(struct sb_fiber_pool *pool, char *mapping)
{
    if (!pool->splits && madvise(mapping, GUARD_SIZE, MADV_GUARD_INSTALL) == 0)
        return true;
    pool->splits = true;
    return mprotect(mapping, GUARD_SIZE, PROT_NONE) == 0;
}

static struct sb_fiber *make_fiber(struct sb_fiber_pool *pool)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK;
    size_t size = GUARD_SIZE + pool->stack_size;
    char *mapping = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (mapping == MAP_FAILED)
        return NULL;
    if (!install_guard(pool, mapping)) {
        munmap(mapping, size);
        return NULL;
    }
    size_t shift = pool->n_made++ % COLOURS * COLOUR_SIZE;
    struct sb_fiber *fiber = (struct sb_fiber *)(mapping + size - shift) - 1;
    fiber->pool = pool;
    fiber->mapping = mapping;
    fiber->context.stack_bottom = mapping + GUARD_SIZE;
    fiber->context.stack_size = (char *)fiber - (mapping + GUARD_SIZE);
    return fiber;
}

static void destroy_fiber(struct sb_fiber *fiber)
{
#ifdef WITH_TSAN
    if (fiber->begun)
        __tsan_destroy_fiber(fiber->context.tsan_fiber);
#endif
#ifdef WITH_ASAN
    __asan_unpoison_memory_region(fiber->context.stack_bottom, fiber->context.stack_size);
#endif
    munmap(fiber->mapping, GUARD_SIZE + fiber->pool->stack_size);
}

struct sb_fiber *sb_fiber_get(struct sb_fiber_pool *pool)
{
    struct sb_fiber *fiber = SLIST_FIRST(&pool->idle);
    if (fiber) {
        SLIST_REMOVE_HEAD(&pool->idle, link);
        pool->n_idle--;
    } else {
        fiber = make_fiber(pool);
    }
    pool->n_used += fiber != NULL;
    return fiber;
}

static void destroy_idle(struct sb_fiber_pool *pool)
{
    struct sb_fiber *fiber = SLIST_FIRST(&pool->idle);
    SLIST_REMOVE_HEAD(&pool->idle, link);
    pool->n_idle--;
    destroy_fiber(fiber);
}

void sb_fiber_put(struct sb_fiber *fiber)
{
    struct sb_fiber_pool *pool = fiber->pool;
    SLIST_INSERT_HEAD(&pool->idle, fiber, link);
    pool->n_idle++;
    pool->n_used--;
    /* Two for each that ends, so that a peak goes back as it ends and not in one long step. */
    for (int i = 0; i < 2 && pool->n_idle > KEPT_FIBERS + pool->n_used; i++)
        destroy_idle(pool);
}

void sb_fiber_pool_finish(struct sb_fiber_pool *pool)
{
    while (!SLIST_EMPTY(&pool->idle))
        destroy_idle(pool);
}

bool sb_fiber_overflows(const struct sb_fiber *fiber, const void *address)
{
    const char *at = address, *bottom = fiber->context.stack_bottom;
    return at >= fiber->mapping && at < bottom;
}

/* --- the switch --------------------------------------------------------------------------------------------------- */

/* The sanitizers follow each switch: told before it, and again on the other side. */
static inline void leave(struct sb_context *from, const struct sb_context *to)
{
#ifdef WITH_ASAN
    __sanitizer_start_switch_fiber(&from->fake_stack, to->stack_bottom, to->stack_size);
#endif
#ifdef WITH_TSAN
    __tsan_switch_to_fiber(to->tsan_fiber, 0);
#endif
    (void)from;
    (void)to;
}

static inline void arrive(struct sb_context *at, struct sb_context *from)
{
#ifdef WITH_ASAN
    __sanitizer_finish_switch_fiber(at->fake_stack, &from->stack_bottom, &from->stack_size);
#endif
    (void)at;
    (void)from;
}

static void switch_to(struct sb_context *from, struct sb_context *to)
{
    leave(from, to);
    if (_setjmp(from->registers) == 0)
        _longjmp(to->registers, 1);
    arrive(from, to);
}

/* The whole life of a fiber: one run after the other. */
static void live(unsigned high, unsigned low)
{
    struct sb_fiber *fiber = (struct sb_fiber *)((uintptr_t)high << 32 | low);
    arrive(&fiber->context, &fiber->pool->loop);
    fiber->begun = true;
    for (;;) {
        fiber->run(fiber->argument);
        fiber->ended = true;
        switch_to(&fiber->context, &fiber->pool->loop);
    }
}

/* The stack could not be entered: the sanitizers have been told that it was. */
static int give_up(struct sb_fiber *fiber)
{
    struct sb_context *loop = &fiber->pool->loop;
    int error = errno;
    arrive(&fiber->context, loop);
    leave(&fiber->context, loop);
    arrive(loop, &fiber->context);
#ifdef WITH_TSAN
    __tsan_destroy_fiber(fiber->context.tsan_fiber);
#endif
    return -error;
}

static int begin(struct sb_fiber *fiber)
{
    struct sb_context *loop = &fiber->pool->loop;
    ucontext_t first;
    if (getcontext(&first) < 0)
        return -errno;
    first.uc_stack.ss_sp = (void *)fiber->context.stack_bottom;
    first.uc_stack.ss_size = fiber->context.stack_size;
    first.uc_link = NULL;
    makecontext(&first, (void (*)(void))live, 2, (unsigned)((uintptr_t)fiber >> 32), (unsigned)(uintptr_t)fiber);
#ifdef WITH_TSAN
    fiber->context.tsan_fiber = __tsan_create_fiber(0);
    loop->tsan_fiber = __tsan_get_current_fiber();
#endif
    leave(loop, &fiber->context);
    if (_setjmp(loop->registers) == 0) {
        setcontext(&first);
        return give_up(fiber);
    }
    arrive(loop, &fiber->context);
    return 0;
}

int sb_fiber_start(struct sb_fiber *fiber, void (*run)(void *argument), void *argument)
{
    fiber->run = run;
    fiber->argument = argument;
    fiber->ended = false;
    if (!fiber->begun)
        return begin(fiber);
    sb_fiber_resume(fiber);
    return 0;
}

void sb_fiber_resume(struct sb_fiber *fiber)
{
    switch_to(&fiber->pool->loop, &fiber->context);
}

void sb_fiber_park(struct sb_fiber *fiber)
{
    switch_to(&fiber->context, &fiber->pool->loop);
}
