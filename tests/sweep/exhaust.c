/* Preloaded in the place of mark.c: the allocation whose number is EXHAUST fails, of all that the command and its
 * children make from main() to exit(); with ONLY (inject.c) of its first process. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "mark.h"

/* The allocator of glibc under its own names: dlsym(3) would allocate. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static unsigned long fails;
static char *once;              /* the environment's EXHAUST */
static pid_t owner;             /* 0: allocations of all processes count */
static atomic_ulong *made;      /* shared by the processes; NULL: main() does not run */

__attribute__((constructor)) static void begin(void)
{
    char *text = getenv("EXHAUST");
    const char *injector = getenv("INJECTOR");
    if (getenv("ONLY")) {
        if (!is_wanted() || !injector || getppid() != atoi(injector))
            return;
        owner = getpid();
    }
    once = text;
    fails = text ? strtoul(text, NULL, 10) : 0;
    prctl(MARK, MARK_BEGIN, 0, 0, 0);
    void *memory = mmap(NULL, sizeof *made, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    made = memory == MAP_FAILED ? NULL : memory;
}

__attribute__((destructor)) static void end(void)
{
    if (made)
        prctl(MARK, MARK_ALLOCATIONS, atomic_load(made), 0, 0);
    made = NULL;
    prctl(MARK, MARK_END, 0, 0, 0);
}

static int fails_now(void)
{
    if (!made || (owner && owner != getpid()))
        return 0;
    unsigned long number = atomic_fetch_add(made, 1) + 1;
    if (owner)
        prctl(MARK, MARK_ALLOCATIONS, number, 0, 0);    /* execve(2) would forget it */
    if (number != fails)
        return 0;
    prctl(MARK, MARK_FAULT, 0, 0, 0);
    if (once)
        strcpy(once, "0");          /* a program that is run in our place shall not fail again */
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t size)
{
    return fails_now() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails_now() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    return fails_now() ? NULL : __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return fails_now() ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **ret_memory, size_t alignment, size_t size)
{
    void *memory = fails_now() ? NULL : __libc_memalign(alignment, size);
    if (!memory)
        return ENOMEM;
    *ret_memory = memory;
    return 0;
}
