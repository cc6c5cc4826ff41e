/* Fibers without a loop: the switch and the stacks. */
#include "suite.h"
#include "../src/fiber/switch.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED 1
#elif defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

TestSuite(switch, .timeout = 600);

enum { STACK_SIZE = 64 * 1024, KEPT_AT_MOST = 128 };

static char written[256];

static void note(char c)
{
    size_t length = strlen(written);
    if (length < sizeof written - 1)
        written[length] = c;
}

struct speaker {
    struct sb_fiber *fiber;
    char word;
    int times;
};

static void speak(void *argument)
{
    const struct speaker *speaker = argument;
    for (int i = 0; i < speaker->times; i++) {
        note(speaker->word);
        sb_fiber_park(speaker->fiber);
    }
}

Test(switch, fibers_run_in_turns_and_go_on_where_they_parked)
{
    struct sb_fiber_pool pool;
    struct speaker speakers[] = { { NULL, 'a', 3 }, { NULL, 'b', 2 }, { NULL, 'c', 3 } };
    sb_fiber_pool_init(&pool, STACK_SIZE);
    for (int i = 0; i < 3; i++) {
        speakers[i].fiber = sb_fiber_get(&pool);
        cr_assert(speakers[i].fiber);
        sb_fiber_start(speakers[i].fiber, speak, &speakers[i]);
        note('.');
    }
    for (int turn = 0; turn < 3; turn++)
        for (int i = 0; i < 3; i++)
            if (!speakers[i].fiber->ended)
                sb_fiber_resume(speakers[i].fiber);
    cr_assert_eq(strcmp(written, "a.b.c.abcac"), 0, "%s", written);
    for (int i = 0; i < 3; i++) {
        cr_assert(speakers[i].fiber->ended);
        sb_fiber_put(speakers[i].fiber);
    }
    sb_fiber_pool_finish(&pool);
}

/* Registers and the floating point state of a fiber are its own. */
struct sum {
    struct sb_fiber *fiber;
    int begin;
    double result;
};

static void add_up(void *argument)
{
    struct sum *sum = argument;
    double total = 0;
    for (int i = 0; i < 100; i++) {
        total += (sum->begin + i) * 0.5;
        sb_fiber_park(sum->fiber);
    }
    sum->result = total;
}

Test(switch, local_variables_survive_ten_thousand_switches)
{
    enum { SUMS = 100 };
    static struct sum sums[SUMS];
    struct sb_fiber_pool pool;
    sb_fiber_pool_init(&pool, STACK_SIZE);
    for (int i = 0; i < SUMS; i++) {
        sums[i] = (struct sum){ sb_fiber_get(&pool), i, 0 };
        sb_fiber_start(sums[i].fiber, add_up, &sums[i]);
    }
    for (int turn = 0; turn < 100; turn++)
        for (int i = 0; i < SUMS; i++)
            sb_fiber_resume(sums[i].fiber);
    for (int i = 0; i < SUMS; i++) {
        cr_assert(sums[i].fiber->ended);
        cr_assert_eq(sums[i].result, (100 * i + 4950) * 0.5);
        sb_fiber_put(sums[i].fiber);
    }
    cr_assert_eq(pool.n_used, 0);
    sb_fiber_pool_finish(&pool);
}

/* --- stacks ------------------------------------------------------------------------------------------------------- */

static void do_nothing(void *argument)
{
    (void)argument;
}

Test(switch, a_stack_is_used_again)
{
    struct sb_fiber_pool pool;
    sb_fiber_pool_init(&pool, STACK_SIZE);
    struct sb_fiber *first = sb_fiber_get(&pool);
    for (int i = 0; i < 1000; i++) {
        struct sb_fiber *fiber = i == 0 ? first : sb_fiber_get(&pool);
        cr_assert_eq(fiber, first);
        sb_fiber_start(fiber, do_nothing, NULL);
        cr_assert(fiber->ended);
        sb_fiber_put(fiber);
        cr_assert_eq(pool.n_idle, 1);
    }
    sb_fiber_pool_finish(&pool);
}

Test(switch, a_stack_has_the_pages_that_were_asked_for)
{
    const size_t sizes[] = { 16384, 16385, 65536, 100000, 1 << 20, 8 << 20 };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct sb_fiber_pool pool;
        sb_fiber_pool_init(&pool, sizes[i]);
        cr_assert(pool.stack_size >= sizes[i] && pool.stack_size < sizes[i] + sysconf(_SC_PAGESIZE));
        struct sb_fiber *fiber = sb_fiber_get(&pool);
        cr_assert(fiber);
        memset((char *)fiber->context.stack_bottom, 1, 4096);
        sb_fiber_put(fiber);
        sb_fiber_pool_finish(&pool);
    }
}

static long address_space(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    cr_assert(file && fscanf(file, "%ld", &pages) == 1);
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static void touch_and_park(void *argument)
{
    volatile char much[STACK_SIZE / 2];
    for (size_t i = 0; i < sizeof much; i += 1024)
        much[i] = 1;
    sb_fiber_park(argument);
}

Test(switch, memory_goes_back_after_a_peak)
{
    enum { PEAK = 3000 };
    static struct sb_fiber *fibers[PEAK];
    struct sb_fiber_pool pool;
    sb_fiber_pool_init(&pool, STACK_SIZE);
    long before = address_space();
    for (int i = 0; i < PEAK; i++) {
        fibers[i] = sb_fiber_get(&pool);
        cr_assert(fibers[i], "only %d fibers", i);
        sb_fiber_start(fibers[i], touch_and_park, fibers[i]);
    }
    long peak = address_space();
    cr_assert(peak - before >= (long)PEAK * STACK_SIZE);
    for (int i = 0; i < PEAK; i++) {
        sb_fiber_resume(fibers[i]);
        sb_fiber_put(fibers[i]);
    }
    cr_assert_eq(pool.n_used, 0);
    cr_assert(pool.n_idle <= KEPT_AT_MOST, "%u stacks are kept", pool.n_idle);
    if (!SANITIZED)
        cr_assert(address_space() - before <= (long)KEPT_AT_MOST * 2 * STACK_SIZE);
    sb_fiber_pool_finish(&pool);
    if (!SANITIZED)
        cr_assert(address_space() - before <= STACK_SIZE);
}

static unsigned count_mappings(void)
{
    unsigned count = 0;
    FILE *file = fopen("/proc/self/maps", "r");
    for (int c; (c = fgetc(file)) != EOF;)
        count += c == '\n';
    fclose(file);
    return count;
}

/* Where the kernel has no guards (Linux 6.13 has), each stack is two mappings, as was feared. */
Test(switch, a_guard_does_not_split_the_mapping_where_the_kernel_can)
{
    enum { MANY = 500 };
    static struct sb_fiber *fibers[MANY];
    struct sb_fiber_pool pool;
    sb_fiber_pool_init(&pool, STACK_SIZE);
    unsigned before = count_mappings();
    for (int i = 0; i < MANY; i++)
        cr_assert((fibers[i] = sb_fiber_get(&pool)) != NULL);
    unsigned more = count_mappings() - before;
    cr_assert(SANITIZED || pool.splits || more < MANY, "%u mappings for %d stacks", more, MANY);
    for (int i = 0; i < MANY; i++)
        sb_fiber_put(fibers[i]);
    sb_fiber_pool_finish(&pool);
}

static void leave_no_room(void)
{
    while (mmap(NULL, 1 << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED)
        ;
}

Test(switch, without_room_for_a_stack_there_is_no_fiber_but_an_idle_one)
{
    struct sb_fiber_pool pool;
    sb_fiber_pool_init(&pool, (size_t)2 << 30);
    if (SANITIZED)
        return;
    struct sb_fiber *fiber = sb_fiber_get(&pool);
    leave_no_room();
    cr_assert(!sb_fiber_get(&pool));
    cr_assert_eq(pool.n_used, 1);
    sb_fiber_start(fiber, do_nothing, NULL);
    sb_fiber_put(fiber);
    cr_assert_eq(sb_fiber_get(&pool), fiber);
}

/* --- the end of a stack ------------------------------------------------------------------------------------------- */

enum { RECOGNIZED = 7, NOT_RECOGNIZED = 8, CALM = 9 };

static struct sb_fiber *suspect;

static void on_fault(int signo, siginfo_t *info, void *context)
{
    (void)signo;
    (void)context;
    _exit(sb_fiber_overflows(suspect, info->si_addr) ? RECOGNIZED : NOT_RECOGNIZED);
}

__attribute__((noinline)) static int descend(int levels)
{
    volatile char some[512];
    some[0] = levels;
    return levels > 0 ? descend(levels - 1) + some[0] : 0;
}

static void overflow(void *argument)
{
    (void)argument;
    descend(1000000);
}

static void descend_a_bit(void *argument)
{
    (void)argument;
    descend(40);
}

static void touch_nothing(void *argument)
{
    int *volatile nowhere = (int *)4096;
    (void)argument;
    *nowhere = 1;
}

static int status_of(bool splits, void (*run)(void *))
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        static char alternate[64 * 1024];
        struct sb_fiber_pool pool;
        sigaltstack(&(stack_t){ .ss_sp = alternate, .ss_size = sizeof alternate }, NULL);
        sigaction(SIGSEGV, &(struct sigaction){ .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK }, NULL);
        sb_fiber_pool_init(&pool, STACK_SIZE);
        pool.splits = splits;
        suspect = sb_fiber_get(&pool);
        sb_fiber_start(suspect, run, NULL);
        _exit(CALM);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status), "status %#x", status);
    return WEXITSTATUS(status);
}

Test(switch, the_end_of_a_stack_is_recognized_and_no_other_fault)
{
    for (int splits = 0; splits < 2; splits++) {
        cr_assert_eq(status_of(splits, overflow), RECOGNIZED);
        cr_assert_eq(status_of(splits, touch_nothing), NOT_RECOGNIZED);
        cr_assert_eq(status_of(splits, descend_a_bit), CALM);
    }
}

/* A guard is there for the second life of a stack too. */
static void descend_twice(void *argument)
{
    (void)argument;
    struct sb_fiber_pool pool;
    sb_fiber_pool_init(&pool, STACK_SIZE);
    for (int i = 0; i < 200; i++) {
        suspect = sb_fiber_get(&pool);
        sb_fiber_start(suspect, descend_a_bit, NULL);
        sb_fiber_put(suspect);
    }
    suspect = sb_fiber_get(&pool);
    sb_fiber_start(suspect, overflow, NULL);
}

Test(switch, a_stack_that_is_used_again_still_has_its_guard)
{
    cr_assert_eq(status_of(false, descend_twice), RECOGNIZED);
}

/* --- no system call ----------------------------------------------------------------------------------------------- */

static void park_often(void *argument)
{
    for (;;)
        sb_fiber_park(argument);
}

static void set_true(void *argument)
{
    *(bool *)argument = true;
}

/* In a process that seccomp(2) lets do nothing but read, write and end. */
static int status_of_switches(bool calls)
{
    struct sb_fiber_pool pool;
    int status;
    sb_fiber_pool_init(&pool, STACK_SIZE);
    struct sb_fiber *fiber = sb_fiber_get(&pool);
    sb_fiber_start(fiber, park_often, fiber);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
        for (int i = 0; i < 10000; i++)
            sb_fiber_resume(fiber);
        if (calls)
            syscall(SYS_getppid);
        syscall(SYS_exit, CALM);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    return status;
}

/* From now on rt_sigprocmask(2) fails in this process: how == SIG_BLOCK: as getcontext(3) calls it, SIG_SETMASK: as
 * setcontext(3) does. */
static void refuse_masks(int how)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigprocmask, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)how, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EFAULT),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = { .len = sizeof filter / sizeof *filter, .filter = filter };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        _exit(1);
}

static int status_of_start_without_masks(int how)
{
    struct sb_fiber_pool pool;
    bool ran = false;
    int status;
    pid_t child = fork();
    if (child == 0) {
        sb_fiber_pool_init(&pool, STACK_SIZE);
        struct sb_fiber *fiber = sb_fiber_get(&pool);
        refuse_masks(how);
        bool refused = sb_fiber_start(fiber, set_true, &ran) == -EFAULT;
        sb_fiber_put(fiber);
        sb_fiber_pool_finish(&pool);
        _exit(refused && !ran ? CALM : 1);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    return status;
}

Test(switch, what_cannot_begin_says_so_and_has_not_run)
{
    int status = status_of_start_without_masks(SIG_BLOCK);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == CALM, "status %#x", status);
    status = status_of_start_without_masks(SIG_SETMASK);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == CALM, "status %#x", status);
}

Test(switch, a_switch_makes_no_system_call)
{
    if (SANITIZED)
        return;
    int status = status_of_switches(false);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == CALM, "status %#x", status);
    status = status_of_switches(true);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "a system call would not have been seen");
}

/* --- threads ------------------------------------------------------------------------------------------------------ */

/* For ThreadSanitizer: each thread has a pool of its own, and what passes between them passes by a lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int total;

static void count(void *argument)
{
    for (int i = 0; i < 100; i++) {
        pthread_mutex_lock(&lock);
        total++;
        pthread_mutex_unlock(&lock);
        sb_fiber_park(argument);
    }
}

static void *run_pool(void *argument)
{
    struct sb_fiber_pool pool;
    struct sb_fiber *fibers[20];
    (void)argument;
    sb_fiber_pool_init(&pool, STACK_SIZE);
    for (int i = 0; i < 20; i++) {
        fibers[i] = sb_fiber_get(&pool);
        sb_fiber_start(fibers[i], count, fibers[i]);
    }
    for (int turn = 0; turn < 100; turn++)
        for (int i = 0; i < 20; i++)
            sb_fiber_resume(fibers[i]);
    for (int i = 0; i < 20; i++)
        sb_fiber_put(fibers[i]);
    sb_fiber_pool_finish(&pool);
    return NULL;
}

Test(switch, each_thread_may_have_a_pool)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, run_pool, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(total, 4 * 20 * 100);
}
