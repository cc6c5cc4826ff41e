#include "generator.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct shared {
    volatile bool stop;
    int r;                      /* of load_run() */
    struct load_result result;
    struct load_server server;
    struct load_call calls[];
};

/* A terminal sends them to all; the parent decides when this ends, and takes it along however it ends. */
static const int group_signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };

static int keep_to_cpu(int cpu, struct load_result *result)
{
    cpu_set_t only;
    CPU_ZERO(&only);
    if (cpu < CPU_SETSIZE)
        CPU_SET(cpu, &only);
    if (cpu < 0 || sched_setaffinity(0, sizeof only, &only) == 0)
        return 0;
    snprintf(result->why, sizeof result->why, "it may not use the CPU %d", cpu);
    return -EINVAL;
}

static void generate(struct shared *shared, struct load_plan plan, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    for (unsigned i = 0; i < sizeof group_signals / sizeof *group_signals; i++)
        signal(group_signals[i], SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1);
    close_range(STDERR_FILENO + 1, ~0U, 0);     /* what others wait for the end of must not stay open here */
    plan.server = &shared->server;
    plan.calls = plan.calls_room > 0 ? shared->calls : NULL;
    shared->r = keep_to_cpu(plan.cpu, &shared->result);
    if (shared->r == 0)
        shared->r = load_run(&plan, &shared->stop, &shared->result);
    _exit(0);
}

int generator_start(struct generator *generator, const struct load_plan *plan)
{
    size_t size = sizeof(struct shared) + plan->calls_room * sizeof(struct load_call);
    pid_t parent = getpid();
    *generator = (struct generator){ .pid_fd = -1, .shared_size = size };
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return -errno;
    generator->shared = memory;
    generator->result = &generator->shared->result;
    generator->calls = generator->shared->calls;
    generator->server = &generator->shared->server;
    fflush(NULL);
    generator->pid = fork();
    if (generator->pid == 0)
        generate(generator->shared, *plan, parent);
    if (generator->pid < 0) {
        generator->pid = 0;
        return -errno;
    }
    generator->pid_fd = pidfd_open(generator->pid, 0);
    return generator->pid_fd < 0 ? -errno : 0;
}

void generator_stop(struct generator *generator)
{
    generator->shared->stop = true;
}

int generator_wait(struct generator *generator, char *why, size_t why_size)
{
    int status = 0;
    waitpid(generator->pid, &status, 0);
    generator->pid = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        snprintf(why, why_size, "%s", generator->result->why);
        return generator->shared->r;
    }
    snprintf(why, why_size, "the process that makes the load was killed%s%s", WIFSIGNALED(status) ? ": " : "",
             WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "");
    return -ECHILD;
}

void generator_free(struct generator *generator)
{
    if (generator->pid > 0) {
        if (generator->pid_fd < 0 || pidfd_send_signal(generator->pid_fd, SIGKILL, NULL, 0) < 0)
            kill(generator->pid, SIGKILL);
        waitpid(generator->pid, NULL, 0);
    }
    if (generator->pid_fd >= 0)
        close(generator->pid_fd);
    if (generator->shared)
        munmap(generator->shared, generator->shared_size);
    *generator = (struct generator){ .pid_fd = -1 };
}

int generator_choose_cpu(void)
{
    cpu_set_t cpus;
    if (sched_getaffinity(0, sizeof cpus, &cpus) < 0 || CPU_COUNT(&cpus) < 2)
        return -1;
    int cpu = CPU_SETSIZE - 1;
    while (!CPU_ISSET(cpu, &cpus))
        cpu--;
    return cpu;
}
