#include "sample.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LINE = 64, PAGE = 4096, FORMS_MAX = 40 };

struct line {
    uint64_t words[LINE / 8];
} __attribute__((aligned(LINE)));

static struct line own[SAMPLE_WORKERS], met, forms[FORMS_MAX];
static struct line *shared;
static int gates[SAMPLE_WORKERS][2];    /* a pipe for each worker, which waits for a byte */

/* --- stores ------------------------------------------------------------------------------------------------------- */

/* Each writes once to the line at `to`, and nowhere else. */
#define STORE(name, code, ...)                                                                             \
    static void name(struct line *to)                                                                      \
    {                                                                                                      \
        __asm__ volatile(code : : "r"(to) : "memory", "cc", "rax", "rcx", "rdx", "r8" __VA_OPT__(,) __VA_ARGS__); \
    }

STORE(store_byte, "movb $1, (%0)")
STORE(store_word, "movw %%ax, 2(%0)")
STORE(store_long, "movl %%eax, 4(%0)")
STORE(store_quad, "movq %%rax, 8(%0)")
STORE(store_indexed, "movl $3, %%ecx\n\t movq %%rax, -8(%0,%%rcx,8)")
STORE(store_narrow, "movl $-1, %%ecx\n\t movslq %%ecx, %%rcx\n\t movb %%al, 9(%0,%%rcx,8)")
STORE(store_add, "addq $1, (%0)")
STORE(store_inc, "incl (%0)")
STORE(store_neg, "negq (%0)")
STORE(store_or, "orb $1, 7(%0)")
STORE(store_and, "andl $-2, (%0)")
STORE(store_shift, "shlq $1, (%0)")
STORE(store_setcc, "sete (%0)")
STORE(store_bts, "btsq $5, (%0)")
STORE(store_xadd, "xaddq %%rax, (%0)")
STORE(store_cmpxchg, "cmpxchgq %%rcx, (%0)")
STORE(store_pop, "pushq $7\n\t popq (%0)")
STORE(store_sse, "movups %%xmm0, (%0)", "xmm0")
STORE(store_aligned, "movdqa %%xmm0, 16(%0)", "xmm0")
STORE(store_scalar, "movss %%xmm0, (%0)", "xmm0")
STORE(store_half, "movhps %%xmm0, 8(%0)", "xmm0")
STORE(store_quadword, "movq %%xmm0, 8(%0)", "xmm0")
STORE(store_doubleword, "movd %%xmm0, 8(%0)", "xmm0")
STORE(store_around, "movnti %%rax, (%0)")
STORE(store_string, "movq %%rdi, %%r8\n\t movq %0, %%rdi\n\t stosq\n\t movq %%r8, %%rdi")
STORE(store_none, "movq %%rdi, %%r8\n\t movq %0, %%rdi\n\t xorl %%ecx, %%ecx\n\t rep stosb\n\t movq %%r8, %%rdi\n\t"
      "movb $1, (%0)")
STORE(store_control, "stmxcsr (%0)")
STORE(store_x87, "fnstcw (%0)")
STORE(store_avx, "vmovdqu %%ymm0, 32(%0)", "xmm0")
STORE(store_avx_scalar, "vmovq %%xmm0, 32(%0)", "xmm0")
STORE(store_avx_float, "vmovups %%ymm0, (%0)", "xmm0")
STORE(store_avx512, "vmovdqu64 %%zmm0, (%0)", "xmm0")
STORE(store_avx512_high, "vmovdqu64 %%ymm16, 32(%0)")

/* Reads that look like stores. */
static void only_read(struct line *from)
{
    __asm__ volatile("cmpq $0, (%0)\n\t testb $1, (%0)\n\t btq $3, (%0)\n\t prefetcht0 (%0)\n\t nopl (%0)\n\t"
                     "ldmxcsr 4(%1)\n\t leaq (%0), %%rax\n\t fldcw 8(%1)\n\t movups (%0), %%xmm0"
                     : : "r"(from), "r"((const uint32_t[]){ 0, 0x1f80, 0x37f }) : "memory", "cc", "rax", "xmm0");
}

static void (*const stores[])(struct line *) = {
    store_byte, store_word, store_long, store_quad, store_indexed, store_narrow, store_add, store_inc, store_neg,
    store_or, store_and, store_shift, store_setcc, store_bts, store_xadd, store_cmpxchg, store_pop, store_sse,
    store_aligned, store_scalar, store_half, store_quadword, store_doubleword, store_around, store_string, store_none,
    store_control, store_x87, store_avx, store_avx_scalar, store_avx_float, store_avx512, store_avx512_high,
};

unsigned sample_forms(void)
{
    unsigned all = sizeof stores / sizeof *stores;
    _Static_assert(sizeof stores / sizeof *stores <= FORMS_MAX, "a line for each");
    if (!__builtin_cpu_supports("avx"))
        return all - 5;
    return __builtin_cpu_supports("avx512vl") ? all : all - 2;
}

/* --- workers ------------------------------------------------------------------------------------------------------ */

static void add_locked(struct line *line, int times)
{
    uint64_t value = 1;
    for (int i = 0; i < times; i++)
        __asm__ volatile("lock xaddq %0, (%1)" : "+r"(value) : "r"(line) : "memory", "cc");
}

static void exchange(struct line *line, int times)
{
    uint64_t value = 1;
    for (int i = 0; i < times; i++)
        __asm__ volatile("xchgq %0, (%1)" : "+r"(value) : "r"(line) : "memory");
}

static void go_round(int number)
{
    add_locked(&own[number], OWN_LOCKED);
    add_locked(&met, MET_LOCKED);
    exchange(shared, SHARED_LOCKED);
    for (unsigned form = 0; form < sample_forms(); form++)
        for (int i = 0; i < MET_TIMES; i++)
            stores[form](&forms[form]);
    only_read(&own[(number + 1) % SAMPLE_WORKERS]);
}

/* Without the C library, which takes note, locked, that a thread may be cancelled meanwhile. */
static long call_kernel(long number, int fd)
{
    char byte = 0;
    long r;
    __asm__ volatile("syscall" : "=a"(r) : "0"(number), "D"(fd), "S"(&byte), "d"(1) : "rcx", "r11", "memory");
    return r;
}

static void *worker_main(void *number)
{
    int worker = (int)(intptr_t)number;
    while (call_kernel(SYS_read, gates[worker][0]) == 1)
        go_round(worker);
    return NULL;
}

/* Its shared page lies elsewhere. */
static _Noreturn void run_process(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    void *elsewhere = mmap(NULL, 16 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *moved = mremap(shared, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere);
    if (moved == MAP_FAILED)
        _exit(1);
    shared = moved;
    worker_main((void *)(intptr_t)SAMPLE_THREADS);
    _exit(0);
}

static int start_workers(void)
{
    pthread_t thread;
    for (int i = 0; i < SAMPLE_WORKERS; i++)
        if (pipe2(gates[i], O_CLOEXEC) < 0)
            return -errno;
    pid_t pid = fork();
    if (pid == 0)
        run_process();
    for (intptr_t i = 0; pid > 0 && i < SAMPLE_THREADS; i++)
        if (pthread_create(&thread, NULL, worker_main, (void *)i) != 0)
            return -EAGAIN;
    return pid < 0 ? -EAGAIN : 0;
}

int sample_main(void)
{
    shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || start_workers() < 0)
        return 1;
    puts("ready");
    fflush(stdout);
    while (call_kernel(SYS_read, STDIN_FILENO) == 1)
        for (int i = 0; i < SAMPLE_WORKERS; i++)
            call_kernel(SYS_write, gates[i][1]);
    return 0;
}
