/* Runs a command whose system calls can be made to fail.
 *
 *     inject STATUS_FD record -- COMMAND...
 *     inject STATUS_FD CALL ERRNO NTH MILLISECONDS -- COMMAND...
 *     inject STATUS_FD watch -- COMMAND...
 *
 * PRELOAD in the environment is the command's LD_PRELOAD. With ONLY all this is about the command's first process alone,
 * not its children: "program" until it runs another program, "renewal" from when it has done so.
 *
 * record counts each system call of the command and its children. Else the NTH one of CALL (1: the first) fails with
 * ERRNO, a number, without having been done; with MILLISECONDS not 0 so do all that follow within that time. Counting
 * begins when main() is about to run and ends with exit(): mark.c tells both. watch has none fail; exhaust.c does that
 * with allocations, and tells.
 *
 * STATUS_FD is a socket. On it, a line each: "hit" at the first failure, "over" when no more will come. A word from the
 * other end has it tell "counted", and what was counted until then. At the end "call NAME COUNT COUNT_AT_THE_WORD" for
 * each that was counted, "failed COUNT", "left COUNT" of processes that the command has left behind, which are killed,
 * and "status N", its wait status. By the kernel's user notification (seccomp_unotify(2)). */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "mark.h"

enum { CALLS = 1024, LINGER_MS = 3000, STACK_SIZE = 1 << 20, ALL = -1, NONE = -2 };

struct plan {
    int call;                   /* its number, or ALL: only count, or NONE */
    int error;
    unsigned long nth;
    int64_t window_ms;
    bool first_process_only;
    char **command;
};

struct watch {
    struct plan plan;
    int socket;
    FILE *status;               /* writes to that */
    pid_t child;
    int child_status;
    bool child_ended, counts, hit, over;
    int64_t until_ms;           /* the failures end, once `hit` */
    int64_t gone_ms;            /* when the child was seen to have ended */
    unsigned long counted[CALLS], when_ready[CALLS], failed, left, allocations;
};

/* What the child tells, which shares our memory until it runs the command. */
static scmp_filter_ctx filter;
static atomic_int listener = -1;

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

__attribute__((noreturn)) static void fail(const char *what, int error)
{
    fprintf(stderr, "inject: %s: %s\n", what, strerror(error));
    exit(125);
}

/* --- the command -------------------------------------------------------------------------------------------------- */

static void make_filter(const struct plan *plan)
{
    int r;
    filter = seccomp_init(plan->call == ALL ? SCMP_ACT_NOTIFY : SCMP_ACT_ALLOW);
    if (!filter)
        fail("cannot make a filter", ENOMEM);
    if (plan->call == ALL)
        return;
    r = seccomp_rule_add(filter, SCMP_ACT_NOTIFY, SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, MARK, 0));
    if (r == 0 && plan->first_process_only)
        r = seccomp_rule_add(filter, SCMP_ACT_NOTIFY, SCMP_SYS(execve), 0);
    if (r == 0 && plan->call != NONE && plan->call != SCMP_SYS(prctl) &&
        !(plan->first_process_only && plan->call == SCMP_SYS(execve)))
        r = seccomp_rule_add(filter, SCMP_ACT_NOTIFY, plan->call, 0);
    if (r < 0)
        fail("cannot make a filter", -r);
}

/* In the child, which ends with us. Nothing between load and execve may be a call that nobody answers yet. */
static int run_command(void *argument)
{
    const struct plan *plan = argument;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int r = seccomp_load(filter);
    atomic_store(&listener, r < 0 ? r : seccomp_notify_fd(filter));
    if (r == 0)
        execvp(plan->command[0], plan->command);
    _exit(126);
}

static pid_t start(struct plan *plan)
{
    static char stack[STACK_SIZE] __attribute__((aligned(16)));
    make_filter(plan);
    pid_t child = clone(run_command, stack + STACK_SIZE, CLONE_VM | CLONE_FILES | SIGCHLD, plan);
    if (child < 0)
        fail("cannot start", errno);
    while (atomic_load(&listener) == -1)
        sched_yield();
    if (atomic_load(&listener) < 0)
        fail("the kernel takes no filter", -atomic_load(&listener));
    return child;
}

/* --- its system calls --------------------------------------------------------------------------------------------- */

static void tell(struct watch *watch, const char *what)
{
    fprintf(watch->status, "%s\n", what);
    fflush(watch->status);
}

/* What is failed: the nth, and in a window all that follow. */
static bool shall_fail(struct watch *watch, int call)
{
    const struct plan *plan = &watch->plan;
    if (call != plan->call || !watch->counts || watch->over)
        return false;
    if (watch->hit)
        return now_ms() < watch->until_ms;
    if (watch->counted[call] < plan->nth)
        return false;
    watch->hit = true;
    watch->over = plan->window_ms == 0;
    watch->until_ms = now_ms() + plan->window_ms;
    tell(watch, "hit");
    if (watch->over)
        tell(watch, "over");
    return true;
}

static void take_mark(struct watch *watch, unsigned long mark, unsigned long value)
{
    if (mark == MARK_BEGIN || mark == MARK_END)
        watch->counts = mark == MARK_BEGIN;
    else if (mark == MARK_ALLOCATIONS)
        watch->allocations = value;
    else if (mark == MARK_FAULT) {
        watch->failed++;
        tell(watch, "hit");
        tell(watch, "over");
    }
}

static void answer(struct watch *watch, const struct seccomp_notif *call, struct seccomp_notif_resp *response)
{
    int nr = call->data.nr;
    bool ours = !watch->plan.first_process_only || (pid_t)call->pid == watch->child;
    *response = (struct seccomp_notif_resp){ .id = call->id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };
    if (nr == SCMP_SYS(prctl) && call->data.args[0] == MARK) {
        if (ours)
            take_mark(watch, call->data.args[1], call->data.args[2]);
        response->flags = 0;
        return;
    }
    if (nr < 0 || nr >= CALLS || !ours)
        return;
    watch->counted[nr] += watch->counts;
    if (shall_fail(watch, nr)) {
        watch->failed++;
        response->flags = 0;
        response->error = -watch->plan.error;
    } else if (nr == SCMP_SYS(execve) && watch->plan.first_process_only)
        watch->counts = false;      /* the loader's calls are nobody's, and mark.c knows whether it shall go on */
}

static void take_call(struct watch *watch, struct seccomp_notif *call, struct seccomp_notif_resp *response)
{
    memset(call, 0, sizeof *call);
    if (seccomp_notify_receive(atomic_load(&listener), call) < 0)
        return;
    answer(watch, call, response);
    seccomp_notify_respond(atomic_load(&listener), response);
}

static void take_word(struct watch *watch, struct pollfd *words)
{
    char text[64];
    if (read(watch->socket, text, sizeof text) <= 0) {
        words->fd = -1;
        return;
    }
    memcpy(watch->when_ready, watch->counted, sizeof watch->counted);
    tell(watch, "counted");
}

/* --- its end ------------------------------------------------------------------------------------------------------ */

static void reap(struct watch *watch)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == watch->child) {
            watch->child_ended = true;
            watch->child_status = status;
            watch->gone_ms = now_ms();
        }
}

/* Ours are all that the command has left behind: we are their reaper. */
static void kill_left(struct watch *watch)
{
    char path[64];
    FILE *file;
    int pid;
    snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
    if (!(file = fopen(path, "re")))
        return;
    while (fscanf(file, "%d", &pid) == 1) {
        watch->left++;
        kill(pid, SIGKILL);
    }
    fclose(file);
}

static void follow(struct watch *watch)
{
    struct seccomp_notif *call;
    struct seccomp_notif_resp *response;
    struct pollfd fds[] = { { .fd = atomic_load(&listener), .events = POLLIN },
                            { .fd = watch->socket, .events = POLLIN } };
    if (seccomp_notify_alloc(&call, &response) < 0)
        fail("cannot follow", ENOMEM);
    while (!(fds[0].revents & POLLHUP)) {
        int n = poll(fds, 2, 20);
        if (fds[0].revents & POLLIN)
            take_call(watch, call, response);
        if (n > 0 && fds[1].fd >= 0 && fds[1].revents)
            take_word(watch, &fds[1]);
        if (watch->hit && !watch->over && now_ms() >= watch->until_ms) {
            watch->over = true;
            tell(watch, "over");
        }
        reap(watch);
        if (watch->child_ended && watch->left == 0 && now_ms() - watch->gone_ms > LINGER_MS)
            kill_left(watch);
    }
    while (!watch->child_ended) {
        poll(NULL, 0, 1);
        reap(watch);
    }
    seccomp_notify_free(call, response);
}

static void report(struct watch *watch)
{
    for (int i = 0; i < CALLS; i++) {
        char *name = watch->counted[i] ? seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, i) : NULL;
        if (name)
            fprintf(watch->status, "call %s %lu %lu\n", name, watch->counted[i], watch->when_ready[i]);
        free(name);
    }
    if (watch->allocations)
        fprintf(watch->status, "call memory %lu 0\n", watch->allocations);
    fprintf(watch->status, "failed %lu\nleft %lu\nstatus %d\n", watch->failed, watch->left, watch->child_status);
    fflush(watch->status);
}

/* --- the command line --------------------------------------------------------------------------------------------- */

__attribute__((noreturn)) static void misuse(void)
{
    fprintf(stderr, "Usage: inject STATUS_FD record -- COMMAND...\n"
                    "       inject STATUS_FD watch -- COMMAND...\n"
                    "       inject STATUS_FD CALL ERRNO NTH MILLISECONDS -- COMMAND...\n");
    exit(2);
}

static struct plan read_plan(int argc, char *argv[])
{
    const char *what = argc > 2 ? argv[2] : "";
    struct plan plan = { .call = strcmp(what, "record") == 0 ? ALL : NONE,
                         .first_process_only = getenv("ONLY") != NULL };
    int words = strcmp(what, "record") == 0 || strcmp(what, "watch") == 0 ? 3 : 6;
    if (argc < words + 2 || strcmp(argv[words], "--") != 0)
        misuse();
    plan.command = argv + words + 1;
    if (words == 3)
        return plan;
    plan.call = seccomp_syscall_resolve_name(argv[2]);
    plan.error = atoi(argv[3]);
    plan.nth = strtoul(argv[4], NULL, 10);
    plan.window_ms = atoi(argv[5]);
    if (plan.call < 0 || plan.call >= CALLS || plan.error <= 0 || plan.nth == 0)
        misuse();
    return plan;
}

int main(int argc, char *argv[])
{
    struct watch watch = { .plan = read_plan(argc, argv), .socket = atoi(argv[1]) };
    watch.status = fcntl(watch.socket, F_SETFD, FD_CLOEXEC) == 0 ? fdopen(watch.socket, "w") : NULL;
    if (!watch.status)
        misuse();
    const char *preload = getenv("PRELOAD");
    char pid[16];
    signal(SIGPIPE, SIG_IGN);
    if (preload)
        setenv("LD_PRELOAD", preload, 1);
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    setenv("INJECTOR", pid, 1);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    watch.child = start(&watch.plan);
    follow(&watch);
    report(&watch);
    return 0;
}
