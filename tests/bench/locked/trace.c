#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "areas.h"
#include "books.h"
#include "decode.h"

enum {
    THREADS_MAX = 1024, TICK_US = 5000, SEEN_MAX = 64, SHOWN_MAX = 10,
    STACKS_FROM = 1 << 24,              /* numbers of stacks, beyond those of objects and spaces */
    STACK_BELOW = 8 << 20, STACK_ABOVE = 256 << 10,     /* of the first thread, around where it begins */
    SIGNAL_FRAME_MIN = 512,
};

/* The C library's string functions without AVX-512, of which capstone 4 knows a part only. They write the same. */
#define PLAIN_STRINGS "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX512DQ"

/* The instruction that a thread has been told to do. */
struct step {
    const struct instruction *instruction;      /* NULL: none */
    struct user_regs_struct registers;          /* before */
    uint64_t addresses[OPERANDS_MAX];
    uint8_t seen[OPERANDS_MAX][SEEN_MAX];       /* what was there before */
};

struct thread {
    pid_t tid;
    uint32_t serial;
    struct space *space;                    /* NULL: its parent has not told of it yet, so that it is held */
    uint64_t stack_low, stack_high;
    uint64_t next_low, next_high;           /* of the thread that it is about to start */
    bool held, stepping, worked;
    bool signalled;                         /* since it was told to do that step */
    struct step step;
};

static struct thread *threads[THREADS_MAX];
static unsigned n_threads;
static uint32_t last_serial;
static bool stepping, counting, auditing;
static const char *watched_file;
static struct counts counts;
static int failure;
static volatile sig_atomic_t ticked;

/* --- threads ------------------------------------------------------------------------------------------------------ */

static struct thread *find_thread(pid_t tid)
{
    for (unsigned i = 0; i < n_threads; i++)
        if (threads[i]->tid == tid)
            return threads[i];
    return NULL;
}

static struct thread *thread_of(pid_t tid)
{
    struct thread *thread = find_thread(tid);
    if (thread || n_threads == THREADS_MAX)
        return thread;
    thread = calloc(1, sizeof *thread);
    if (!thread)
        return NULL;
    thread->tid = tid;
    thread->serial = ++last_serial;
    threads[n_threads++] = thread;
    return thread;
}

static void drop_thread(pid_t tid)
{
    for (unsigned i = 0; i < n_threads; i++) {
        if (threads[i]->tid != tid)
            continue;
        space_unref(threads[i]->space);
        free(threads[i]);
        threads[i] = threads[--n_threads];
        return;
    }
}

static ssize_t peek(const struct thread *thread, uint64_t address, void *buffer, size_t size)
{
    struct iovec local = { buffer, size }, remote = { (void *)(uintptr_t)address, size };
    return process_vm_readv(thread->tid, &local, 1, &remote, 1, 0);
}

/* --- what an instruction did -------------------------------------------------------------------------------------- */

/* A stack is memory of the thread that it was made for: the next thread, which may get the same addresses, has another
 * one. */
static void locate(const struct thread *thread, uint64_t address, struct line *line)
{
    *line = (struct line){ .pid = thread->space->pid, .address = address };
    for (unsigned i = 0; i < n_threads; i++) {
        const struct thread *owner = threads[i];
        if (owner->space == thread->space && address >= owner->stack_low && address < owner->stack_high) {
            line->space = STACKS_FROM + owner->serial;
            line->number = address / LINE_SIZE;
            return;
        }
    }
    space_locate(thread->space, address, &line->space, &line->number);
}

static void book(const struct thread *thread, uint64_t address, unsigned size)
{
    const struct instruction *instruction = thread->step.instruction;
    struct site site = { .object = instruction->object, .offset = instruction->offset,
                         .locked = instruction->locked };
    memcpy(site.text, instruction->text, sizeof site.text);
    for (uint64_t at = address; at / LINE_SIZE <= (address + size - 1) / LINE_SIZE; at += LINE_SIZE - at % LINE_SIZE) {
        struct line line;
        locate(thread, at, &line);
        if (!books_write(&line, thread->serial, &site))
            failure = -ENOBUFS;
    }
}

static void audit(const struct thread *thread, int i)
{
    const struct instruction *instruction = thread->step.instruction;
    const struct operand *operand = &instruction->operands[i];
    uint8_t now[SEEN_MAX];
    size_t size = operand->size < SEEN_MAX ? operand->size : SEEN_MAX;
    if (instruction->repeated || peek(thread, thread->step.addresses[i], now, size) != (ssize_t)size ||
        memcmp(now, thread->step.seen[i], size) == 0)
        return;
    if (counts.misjudged++ < SHOWN_MAX)
        fprintf(stderr, "locked: believed to read only: %s\n", instruction->text);
}

static void count_call(const struct user_regs_struct *registers)
{
    counts.kernel_calls++;
    counts.futex_calls += registers->rax == SYS_futex;
}

static void count_step(struct thread *thread)
{
    const struct step *step = &thread->step;
    const struct instruction *instruction = step->instruction;
    counts.instructions++;
    counts.locked += instruction->locked;
    if (!instruction->known) {
        if (counts.unknown++ < SHOWN_MAX)
            fprintf(stderr, "locked: not understood: %s\n", instruction->text);
        return;
    }
    if (instruction->calls_kernel)
        count_call(&step->registers);
    if (instruction->repeated && step->registers.rcx == 0)
        return;
    for (int i = 0; i < instruction->n_operands; i++) {
        if (instruction->operands[i].written)
            book(thread, step->addresses[i], instruction->operands[i].size);
        else if (auditing)
            audit(thread, i);
    }
}

/* Mappings change, and so does what an address means. */
static void note_call(struct thread *thread)
{
    const struct user_regs_struct *registers = &thread->step.registers;
    switch (registers->rax) {
    case SYS_mmap:
        thread->space->stale |= (registers->r10 & MAP_SHARED) != 0;
        /* fall through */
    case SYS_mprotect:
        if (!(registers->rdx & PROT_EXEC))
            return;
        decoder_forget();
        /* fall through */
    case SYS_munmap:
    case SYS_mremap:
        thread->space->stale = true;
    }
}

/* Whether it did that, or a signal came first. */
static bool did_it(const struct thread *thread, const struct user_regs_struct *now)
{
    const struct step *step = &thread->step;
    if (!step->instruction || step->instruction->address != step->registers.rip)
        return false;
    bool in_handler = thread->signalled && now->rsp + SIGNAL_FRAME_MIN <= step->registers.rsp;
    return !in_handler && (now->rip != step->registers.rip || step->instruction->repeated);
}

static void finish_step(struct thread *thread, const struct user_regs_struct *now)
{
    if (did_it(thread, now)) {
        if (counting)
            count_step(thread);
        if (thread->step.instruction->calls_kernel)
            note_call(thread);
    }
    thread->step.instruction = NULL;
    thread->signalled = false;
}

/* --- what it is going to do --------------------------------------------------------------------------------------- */

static void note_worker(struct thread *thread, const struct instruction *instruction)
{
    if (!counting || thread->worked || !watched_file || instruction->object == 0)
        return;
    const char *path = object_path(instruction->object), *slash = strrchr(path, '/');
    if (slash && strcmp(slash + 1, watched_file) == 0) {
        thread->worked = true;
        counts.workers++;
    }
}

static const struct instruction *next_instruction(struct thread *thread, uint64_t address)
{
    bool fresh;
    struct instruction *instruction = decode(thread->tid, address, &fresh);
    if (fresh)
        instruction->object = space_code(thread->space, address, &instruction->offset);
    return instruction;
}

/* The stack of the thread that clone3(2) starts. */
static void note_stack(struct thread *thread, const struct user_regs_struct *registers)
{
    uint64_t arguments[7];      /* flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size */
    thread->next_low = thread->next_high = 0;
    if (registers->rax != SYS_clone3 || peek(thread, registers->rdi, arguments, sizeof arguments) != sizeof arguments)
        return;
    thread->next_low = arguments[5];
    thread->next_high = arguments[5] + arguments[6];
}

static void begin_step(struct thread *thread, const struct user_regs_struct *registers)
{
    struct step *step = &thread->step;
    const struct instruction *instruction = next_instruction(thread, registers->rip);
    step->instruction = instruction;
    step->registers = *registers;
    for (int i = 0; i < instruction->n_operands; i++) {
        step->addresses[i] = operand_address(&instruction->operands[i], registers);
        if (auditing && !instruction->operands[i].written)
            peek(thread, step->addresses[i], step->seen[i],
                 instruction->operands[i].size < SEEN_MAX ? instruction->operands[i].size : SEEN_MAX);
    }
    if (instruction->calls_kernel)
        note_stack(thread, registers);
    note_worker(thread, instruction);
}

/* --- stops -------------------------------------------------------------------------------------------------------- */

static void resume(struct thread *thread, int signo)
{
    thread->stepping = stepping;
    ptrace(stepping ? PTRACE_SINGLESTEP : PTRACE_CONT, thread->tid, NULL, (void *)(intptr_t)signo);
}

static void advance(struct thread *thread)
{
    struct user_regs_struct registers;
    if (stepping && ptrace(PTRACE_GETREGS, thread->tid, NULL, &registers) == 0) {
        finish_step(thread, &registers);
        begin_step(thread, &registers);
    }
    resume(thread, 0);
}

/* A thread may stop for the first time before or after its parent tells of it. */
static void introduce(const struct thread *parent, bool same_space)
{
    unsigned long tid;
    if (ptrace(PTRACE_GETEVENTMSG, parent->tid, NULL, &tid) < 0)
        return;
    struct thread *thread = thread_of((pid_t)tid);
    struct space *space = !thread ? NULL : same_space ? space_ref(parent->space) : space_new((pid_t)tid);
    if (!space) {
        failure = -ENOMEM;
        return;
    }
    thread->space = space;
    thread->stack_low = same_space ? parent->next_low : parent->stack_low;
    thread->stack_high = same_space ? parent->next_high : parent->stack_high;
    if (thread->held)
        advance(thread);
    thread->held = false;
}

static void begin_program(struct thread *thread)
{
    struct user_regs_struct registers;
    decoder_forget();
    thread->space->stale = true;
    if (ptrace(PTRACE_GETREGS, thread->tid, NULL, &registers) < 0)
        return;
    thread->stack_low = registers.rsp - STACK_BELOW;
    thread->stack_high = registers.rsp + STACK_ABOVE;
}

static void handle_event(struct thread *thread, int event)
{
    switch (event) {
    case PTRACE_EVENT_CLONE:
    case PTRACE_EVENT_VFORK:
    case PTRACE_EVENT_FORK:
        introduce(thread, event != PTRACE_EVENT_FORK);
        resume(thread, 0);
        return;
    case PTRACE_EVENT_EXEC:
        begin_program(thread);
        resume(thread, 0);
        return;
    default:        /* PTRACE_EVENT_STOP: it is new, or trace_step() wanted it */
        advance(thread);
    }
}

static void handle_stop(pid_t tid, int status)
{
    struct thread *thread = thread_of(tid);
    if (!thread) {
        failure = -ENOMEM;
        return;
    }
    if (!thread->space)
        thread->held = true;
    else if (status >> 16)
        handle_event(thread, status >> 16);
    else if (WSTOPSIG(status) == SIGTRAP)
        advance(thread);
    else {
        thread->signalled = true;
        resume(thread, WSTOPSIG(status));
    }
}

/* --- running ------------------------------------------------------------------------------------------------------ */

static void tick(int signo)
{
    (void)signo;
    ticked = 1;
}

static void set_ticks(int us)
{
    struct itimerval every = { .it_interval.tv_usec = us, .it_value.tv_usec = us };
    sigaction(SIGALRM, &(struct sigaction){ .sa_handler = tick }, NULL);     /* it ends a waitpid() */
    setitimer(ITIMER_REAL, &every, NULL);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int follow(bool (*done)(void *data), void *data, int64_t deadline_ms)
{
    while (failure == 0) {
        int status;
        if (ticked) {
            ticked = 0;
            if (done(data))
                return 0;
            if (now_ms() > deadline_ms)
                return -ETIMEDOUT;
        }
        pid_t tid = waitpid(-1, &status, __WALL);
        if (tid < 0 && errno != EINTR)
            return -ESRCH;
        if (tid > 0 && WIFSTOPPED(status))
            handle_stop(tid, status);
        else if (tid > 0)
            drop_thread(tid);
    }
    return failure;
}

int trace_run(bool (*done)(void *data), void *data, int timeout_ms)
{
    set_ticks(TICK_US);
    int r = follow(done, data, now_ms() + timeout_ms);
    set_ticks(0);
    return r;
}

void trace_step(void)
{
    stepping = true;
    for (unsigned i = 0; i < n_threads; i++)
        ptrace(PTRACE_INTERRUPT, threads[i]->tid, NULL, NULL);
}

static bool sleeps(pid_t tid)
{
    char path[64], text[256] = { 0 };
    snprintf(path, sizeof path, "/proc/%d/stat", (int)tid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    const char *name_end = n > 0 ? strrchr(text, ')') : NULL;
    return name_end && name_end[2] == 'S';
}

bool trace_quiet(void)
{
    for (unsigned i = 0; i < n_threads; i++)
        if (!threads[i]->space || !threads[i]->stepping || !sleeps(threads[i]->tid))
            return false;
    return true;
}

void trace_count(bool on)
{
    counting = on;
    if (!on)
        return;
    counts = (struct counts){ 0 };
    books_clear();
    for (unsigned i = 0; i < n_threads; i++)
        threads[i]->worked = false;
}

struct counts trace_counts(void)
{
    return counts;
}

void trace_audit(bool on)
{
    auditing = on;
}

/* --- beginning and end -------------------------------------------------------------------------------------------- */

/* In the child: waits until it is traced. */
static _Noreturn void become(char *const argv[], const int *go, const int *input, const int *output)
{
    char byte;
    close(go[1]);
    setenv("GLIBC_TUNABLES", PLAIN_STRINGS, true);
    if (read(go[0], &byte, 1) == 1 && dup2(input[0], STDIN_FILENO) >= 0 && dup2(output[1], STDOUT_FILENO) >= 0)
        execv(argv[0], argv);
    fprintf(stderr, "locked: cannot run %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

static int seize(pid_t pid)
{
    long options = PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC |
                   PTRACE_O_EXITKILL;
    struct thread *thread = thread_of(pid);
    if (!thread || !(thread->space = space_new(pid)))
        return -ENOMEM;
    return ptrace(PTRACE_SEIZE, pid, NULL, (void *)options) < 0 ? -errno : 0;
}

static int launch(char *const argv[], const int *go, const int *input, const int *output)
{
    pid_t pid = fork();
    if (pid == 0)
        become(argv, go, input, output);
    int r = pid < 0 ? -errno : seize(pid);
    if (r == 0 && write(go[1], "", 1) != 1)
        r = -errno;
    if (r < 0 && pid > 0)
        kill(pid, SIGKILL);
    return r;
}

static void close_pair(const int *pair)
{
    close(pair[0]);
    close(pair[1]);
}

int trace_start(char *const argv[], const char *watched, int *ret_input_fd, int *ret_output_fd)
{
    int go[2], input[2], output[2];
    stepping = counting = false;
    failure = 0;
    watched_file = watched;
    if (pipe2(go, O_CLOEXEC) < 0 || pipe2(input, O_CLOEXEC) < 0 || pipe2(output, O_CLOEXEC) < 0)
        return -errno;
    int r = launch(argv, go, input, output);
    close_pair(go);
    close(input[0]);
    close(output[1]);
    if (r < 0) {
        close(input[1]);
        close(output[0]);
        return r;
    }
    *ret_input_fd = input[1];
    *ret_output_fd = output[0];
    return 0;
}

void trace_end(void)
{
    for (unsigned i = 0; i < n_threads; i++)
        kill(threads[i]->tid, SIGKILL);
    for (;;) {
        int status;
        pid_t tid = waitpid(-1, &status, __WALL);
        if (tid < 0 && errno == EINTR)
            continue;
        if (tid < 0)
            break;
        if (WIFSTOPPED(status))     /* born meanwhile */
            kill(tid, SIGKILL);
    }
    while (n_threads > 0)
        drop_thread(threads[0]->tid);
}
