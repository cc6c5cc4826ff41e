#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define TICK_MS 100
#define TICKS_EACH_SAMPLE 3

/* What the load's process and this one share. */
struct shared {
    volatile bool stop;
    struct load_result result;
    struct load_call calls[];
};

/* The load, as this process sees it. */
struct generator {
    struct shared *shared;
    size_t size;
    pid_t pid;
    int pid_fd, hold_fd;        /* hold_fd: closing it lets the connections go; -1: none */
};

static struct shared *make_shared(unsigned calls, size_t *ret_size)
{
    size_t size = sizeof(struct shared) + calls * sizeof(struct load_call);
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    *ret_size = size;
    return memory == MAP_FAILED ? NULL : memory;
}

/* In the load's process. A Control-C is for whoever started it, which then says so. */
static void generate(struct shared *shared, struct load_plan load, const struct run_plan *plan, int hold_fd, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_DFL);
    load.hold_fd = hold_fd;
    load.calls = plan->calls > 0 ? shared->calls : NULL;
    load.calls_room = plan->calls;
    _exit(load_run(&load, &shared->stop, &shared->result) < 0);
}

static int start_generator(struct generator *generator, const struct run_plan *plan, const struct load_plan *load)
{
    int hold[2] = { -1, -1 };
    pid_t parent = getpid();
    *generator = (struct generator){ .pid_fd = -1, .hold_fd = -1 };
    generator->shared = make_shared(plan->calls, &generator->size);
    if (!generator->shared || (plan->stays && pipe2(hold, O_CLOEXEC) < 0))
        return -errno;
    fflush(NULL);
    generator->pid = fork();
    if (generator->pid == 0) {
        if (hold[1] >= 0)
            close(hold[1]);
        generate(generator->shared, *load, plan, hold[0], parent);
    }
    if (hold[0] >= 0)
        close(hold[0]);
    generator->hold_fd = hold[1];
    if (generator->pid < 0) {
        generator->pid = 0;
        return -errno;
    }
    generator->pid_fd = syscall(SYS_pidfd_open, generator->pid, 0);
    return generator->pid_fd < 0 ? -errno : 0;
}

static void free_generator(struct generator *generator)
{
    if (generator->hold_fd >= 0)
        close(generator->hold_fd);
    if (generator->pid > 0) {
        kill(generator->pid, SIGKILL);
        waitpid(generator->pid, NULL, 0);
    }
    if (generator->pid_fd >= 0)
        close(generator->pid_fd);
    if (generator->shared)
        munmap(generator->shared, generator->size);
}

static void let_go(struct generator *generator)
{
    if (generator->hold_fd >= 0)
        close(generator->hold_fd);
    generator->hold_fd = -1;
}

/* Until the load has ended, or, with `stays`, has done its requests. */
static void watch(struct generator *generator, struct subject *subject, const volatile bool *stop,
                  void (*tick)(void *data), void *data)
{
    struct pollfd ended = { .fd = generator->pid_fd, .events = POLLIN };
    for (unsigned ticks = 0; poll(&ended, 1, TICK_MS) <= 0; ticks++) {
        if (*stop)
            generator->shared->stop = true;
        if (tick)
            tick(data);
        if (ticks % TICKS_EACH_SAMPLE == 0)
            subject_sample(subject);
        if (generator->hold_fd >= 0 && generator->shared->result.done)
            return;
    }
}

/* Its peaks, while the connections are still there, and what each of them costs: of a few it would be chance. */
static void weigh(struct subject *subject, struct generator *generator, long before_kb, struct run *run)
{
    const struct load_result *load = &generator->shared->result;
    subject_sample(subject);
    if (generator->hold_fd >= 0 && 2 * load->answered >= load->begun)
        run->connection_kb = (double)(subject_pss_kb(subject) - before_kb) / load->answered;
}

static int collect(struct generator *generator, struct run *run, char *why)
{
    int status = 0;
    waitpid(generator->pid, &status, 0);
    generator->pid = 0;
    run->load = generator->shared->result;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    snprintf(why, SUBJECT_WHY_SIZE, "the load could not run: %s",
             run->load.why[0] != '\0' ? run->load.why : "its process was killed");
    return -ECHILD;
}

static void keep_usage(struct subject *subject, struct run *run)
{
    run->usage = subject->usage;
    run->calls = subject->calls;
    run->pss_kb = subject->pss_kb;
    run->processes = subject->processes;
    run->threads = subject->threads;
}

static int put_load_on(struct subject *subject, const struct run_plan *plan, const volatile bool *stop,
                       void (*tick)(void *data), void *data, struct run *run, char *why)
{
    struct load_plan load = plan->load;
    struct generator generator;
    load.address = subject->address;
    long before_kb = plan->stays ? subject_pss_kb(subject) : 0;
    int r = start_generator(&generator, plan, &load);
    if (r < 0)
        snprintf(why, SUBJECT_WHY_SIZE, "cannot start the load: %s", strerror(-r));
    if (r == 0) {
        watch(&generator, subject, stop, tick, data);
        weigh(subject, &generator, before_kb, run);
        let_go(&generator);
        watch(&generator, subject, stop, tick, data);
        r = collect(&generator, run, why);
    }
    if (r == 0) {
        subject_settle(subject, stop);
        run->n_workers = subject_workers(subject, run->workers, WORKERS_SHOWN);
    }
    if (r == 0 && plan->calls > 0 &&
        timeline_make(subject->board, generator.shared->calls, run->load.n_calls, &run->timeline) < 0)
        run->timeline = (struct timeline){ 0 };
    free_generator(&generator);
    return r;
}

int run_blank(const struct run_plan *plan, const volatile bool *stop, struct run *ret_run, char why[SUBJECT_WHY_SIZE])
{
    struct subject subject;
    int r = subject_start(&subject, &plan->subject, stop, why);
    if (r < 0)
        return r;
    subject_stop(&subject);
    keep_usage(&subject, ret_run);
    subject_free(&subject);
    return 0;
}

int run_once(const struct run_plan *plan, const volatile bool *stop, void (*tick)(void *data), void *data,
             struct run *ret_run, char why[SUBJECT_WHY_SIZE])
{
    struct subject subject;
    int r = subject_start(&subject, &plan->subject, stop, why);
    if (r < 0)
        return r;
    memset(ret_run, 0, sizeof *ret_run);
    ret_run->connection_kb = NAN;
    r = put_load_on(&subject, plan, stop, tick, data, ret_run, why);
    ret_run->died = !subject_is_alive(&subject);
    subject_stop(&subject);
    keep_usage(&subject, ret_run);
    subject_free(&subject);
    if (r == 0 && *stop)
        r = -ECANCELED;
    if (r < 0)
        timeline_finish(&ret_run->timeline);
    return r;
}
