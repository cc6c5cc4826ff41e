#include "load.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "client.h"

#define EVENTS       256
#define BEGIN_AT_ONCE 64            /* requests begun before the answers are looked at again */
#define TICK_NS      100000000      /* how often *stop is looked at */
#define LATE_NS      1000000
#define OWN_DESCRIPTORS 8           /* beside those of the clients, and those that are open already */

struct run {
    struct load load;
    const volatile bool *stop;
    uint64_t start_ns, end_ns;
    uint64_t closed_ns;             /* since when no more requests begin; 0: they do */
    cpu_set_t cpus;                 /* that it might use before */
    int timer_slack;
    uint64_t cpu_ns;                /* at its start */
};

/* --- before it ---------------------------------------------------------------------------------------------------- */

static const char *complain(const struct load_plan *plan)
{
    const struct load_dialogue *dialogue = &plan->dialogue;
    bool stream = plan->address.socktype == SOCK_STREAM;
    if (plan->clients < 1 || plan->clients > LOAD_CLIENTS_MAX)
        return "there must be from 1 to 1000000 clients";
    if (plan->slow >= plan->clients || (plan->slow > 0 && plan->drip_ms == 0))
        return "at least one client must not be slow, and slow ones send a byte at times";
    if (plan->count == 0 && plan->duration_ns == 0)
        return "neither the requests nor the time are limited";
    if (plan->patience_ns == 0 || plan->grace_ns > plan->patience_ns)
        return "no time for an answer, or more of it at the end than before";
    if (!(plan->rate >= 0 && plan->rate <= 1e9))
        return "the rate is no number of requests for each second";
    if (dialogue->expects != LOAD_CAPITALS &&
        (dialogue->question_size < 1 || dialogue->question_size > LOAD_QUESTION_SIZE_MAX))
        return "a question has from 1 to 65507 bytes";
    if (dialogue->expects == LOAD_TEXT && dialogue->answer_size < 1)
        return "an answer without a byte cannot be told from none";
    if (plan->poison && (plan->poison_each < 2 || plan->talk || !stream || !*plan->poison))
        return "poison needs a connection for each request, and other requests between";
    return NULL;
}

/* Raises the soft limit of descriptors as far as may be. */
static int find_descriptors(const struct run *run, struct load_result *result)
{
    struct rlimit limit;
    rlim_t wanted = (rlim_t)run->load.plan->clients + (rlim_t)run->load.epoll_fd + OWN_DESCRIPTORS;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (wanted <= limit.rlim_max)
        return 0;
    snprintf(result->why, sizeof result->why,
             "%u clients need %lu descriptors, and the hard limit is %lu: root can raise it with 'ulimit -Hn %lu'",
             run->load.plan->clients, (unsigned long)wanted, (unsigned long)limit.rlim_max, (unsigned long)wanted);
    return -EMFILE;
}

static int keep_to_cpu(int cpu, struct load_result *result)
{
    cpu_set_t only;
    CPU_ZERO(&only);
    if (cpu < CPU_SETSIZE)
        CPU_SET(cpu, &only);
    if (sched_setaffinity(0, sizeof only, &only) == 0)
        return 0;
    snprintf(result->why, sizeof result->why, "it may not use the CPU %d", cpu);
    return -EINVAL;
}

static int prepare(struct run *run, struct load_result *result)
{
    struct load *load = &run->load;
    load->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (load->epoll_fd < 0)
        return -errno;
    int r = find_descriptors(run, result);
    if (r < 0)
        return r;
    load->clients = calloc(load->plan->clients, sizeof *load->clients);
    load->buffer = malloc(CLIENT_BUFFER_SIZE);
    if (!load->clients || !load->buffer)
        return -ENOMEM;
    for (unsigned i = 0; i < load->plan->clients; i++) {
        load->clients[i].fd = -1;
        load->clients[i].slow = i < load->plan->slow;
    }
    sched_getaffinity(0, sizeof run->cpus, &run->cpus);
    run->timer_slack = prctl(PR_GET_TIMERSLACK);
    prctl(PR_SET_TIMERSLACK, 1);
    return load->plan->cpu >= 0 ? keep_to_cpu(load->plan->cpu, result) : 0;
}

static void clean_up(struct run *run)
{
    struct load *load = &run->load;
    for (unsigned i = 0; load->clients && i < load->plan->clients; i++)
        client_hang_up(&load->clients[i]);
    if (load->epoll_fd >= 0)
        close(load->epoll_fd);
    if (run->timer_slack > 0) {
        prctl(PR_SET_TIMERSLACK, run->timer_slack);
        sched_setaffinity(0, sizeof run->cpus, &run->cpus);
    }
    free(load->clients);
    free(load->buffer);
}

/* --- who begins, and when ----------------------------------------------------------------------------------------- */

static uint64_t due_ns(const struct run *run, uint64_t number)
{
    return run->start_ns + (uint64_t)((double)number * 1e9 / run->load.plan->rate);
}

/* When the next request may begin, if a client is free; UINT64_MAX: never. */
static uint64_t next_begin_ns(const struct run *run)
{
    const struct load_plan *plan = run->load.plan;
    if (run->closed_ns > 0 || (plan->count > 0 && run->load.result->begun >= plan->count))
        return UINT64_MAX;
    uint64_t next_ns = plan->rate > 0 ? due_ns(run, run->load.begun) : run->start_ns;
    return next_ns < run->end_ns ? next_ns : UINT64_MAX;
}

/* In an open loop those that were due before the end begin a little after it too, if a client is free. */
static bool may_begin(const struct run *run, uint64_t now_ns)
{
    return run->load.free.first && next_begin_ns(run) <= now_ns && (run->load.plan->rate > 0 || now_ns < run->end_ns);
}

static void begin(struct run *run, uint64_t now_ns)
{
    struct load *load = &run->load;
    struct client *client = (struct client *)load->free.first;
    uint64_t due = now_ns, free_ns = client->place.since_ns;
    if (load->plan->rate > 0) {
        due = due_ns(run, load->begun);
        load->result->late += now_ns > (due > free_ns ? due : free_ns) + LATE_NS;
    }
    client_begin(load, client, due, now_ns);
}

static void begin_some(struct run *run, unsigned most)
{
    for (; most > 0 && run->load.free.first; most--) {
        uint64_t now_ns = clock_ns();
        if (!may_begin(run, now_ns))
            return;
        begin(run, now_ns);
    }
}

/* --- the loop ----------------------------------------------------------------------------------------------------- */

static uint64_t earlier(uint64_t a_ns, uint64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

static uint64_t next_look_ns(const struct run *run, uint64_t now_ns)
{
    const struct load *load = &run->load;
    uint64_t next_ns = run->closed_ns > 0 ? run->closed_ns + load->plan->grace_ns : run->end_ns;
    next_ns = earlier(next_ns, line_next_ns(&load->asking, load->plan->patience_ns));
    next_ns = earlier(next_ns, line_next_ns(&load->resting, CLIENT_REST_NS));
    next_ns = earlier(next_ns, line_next_ns(&load->dripping, load->plan->drip_ms * 1000000ull));
    if (load->free.first)
        next_ns = earlier(next_ns, next_begin_ns(run));
    return run->stop ? earlier(next_ns, now_ns + TICK_NS) : next_ns;
}

static void look_at_lines(struct run *run)
{
    struct load *load = &run->load;
    uint64_t now_ns = clock_ns();
    while (line_next_ns(&load->asking, load->plan->patience_ns) <= now_ns)
        client_give_up(load, (struct client *)load->asking.first, now_ns);
    while (line_next_ns(&load->resting, CLIENT_REST_NS) <= now_ns)
        client_wake(load, (struct client *)load->resting.first, now_ns);
    while (line_next_ns(&load->dripping, load->plan->drip_ms * 1000000ull) <= now_ns)
        client_drip(load, (struct client *)load->dripping.first, now_ns);
}

/* Linux 5.11 can wait for a part of a millisecond. */
static int wait_for_events(int epoll_fd, struct epoll_event *events, uint64_t left_ns)
{
    struct timespec timeout = { .tv_sec = (time_t)(left_ns / 1000000000), .tv_nsec = (long)(left_ns % 1000000000) };
    int n = epoll_pwait2(epoll_fd, events, EVENTS, &timeout, NULL);
    if (n < 0 && errno == ENOSYS)
        n = epoll_wait(epoll_fd, events, EVENTS, (int)earlier((left_ns + 999999) / 1000000, INT_MAX));
    return n;
}

static void wait_and_hear(struct run *run)
{
    struct epoll_event events[EVENTS];
    uint64_t now_ns = clock_ns(), next_ns = next_look_ns(run, now_ns);
    int n = wait_for_events(run->load.epoll_fd, events, next_ns > now_ns ? next_ns - now_ns : 0);
    for (int i = 0; i < n; i++) {
        client_event(&run->load, events[i].data.ptr, events[i].events);
        begin_some(run, 1);
    }
}

static bool is_stopped(const struct run *run)
{
    return run->stop && *run->stop;
}

static bool is_over(struct run *run)
{
    uint64_t now_ns = clock_ns();
    const struct load_plan *plan = run->load.plan;
    bool all_begun = plan->count > 0 && run->load.result->begun >= plan->count;
    if (run->closed_ns == 0 && (all_begun || (now_ns >= run->end_ns && !may_begin(run, now_ns))))
        run->closed_ns = now_ns;
    return is_stopped(run) ||
           (run->closed_ns > 0 && (run->load.outstanding == 0 || now_ns >= run->closed_ns + plan->grace_ns));
}

/* --- after it ----------------------------------------------------------------------------------------------------- */

static uint64_t cpu_ns(void)
{
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}

static double find_fairness(const struct load *load)
{
    double sum = 0, squares = 0, n = load->plan->clients - load->plan->slow;
    for (unsigned i = load->plan->slow; i < load->plan->clients; i++) {
        sum += (double)load->clients[i].answers;
        squares += (double)load->clients[i].answers * (double)load->clients[i].answers;
    }
    return squares > 0 && load->plan->rate == 0 ? sum * sum / (n * squares) : 1;
}

static uint64_t count_waiting(const struct run *run)
{
    const struct load_plan *plan = run->load.plan;
    if (plan->rate == 0 || plan->duration_ns == 0 || run->closed_ns == 0)
        return 0;
    uint64_t begun = run->load.result->begun, next_ns = due_ns(run, run->load.begun);
    if (next_ns >= run->end_ns)
        return 0;
    uint64_t waiting = (uint64_t)((double)(run->end_ns - next_ns - 1) * plan->rate / 1e9) + 1;
    return plan->count > 0 && begun + waiting > plan->count ? plan->count - begun : waiting;
}

static void end_outstanding(struct run *run, uint64_t now_ns)
{
    struct load *load = &run->load;
    for (unsigned i = 0; load->outstanding > 0 && i < load->plan->clients; i++) {
        struct client *client = &load->clients[i];
        if (client->busy && !is_stopped(run))
            client_give_up(load, client, now_ns);
        else if (client->busy && !client->poison)
            load->result->begun--;
    }
}

static void conclude(struct run *run)
{
    struct load *load = &run->load;
    struct load_result *result = load->result;
    uint64_t now_ns = clock_ns();
    result->cpu_ns = cpu_ns() - run->cpu_ns;
    result->waiting = count_waiting(run);
    end_outstanding(run, now_ns);
    result->elapsed_ns = (load->answered_ns > 0 ? load->answered_ns : now_ns) - run->start_ns;
    if (load->failed_ns > 0 && now_ns - load->failed_ns > result->outage_ns)
        result->outage_ns = now_ns - load->failed_ns;
    result->fairness = find_fairness(load);
    for (unsigned i = 0; load->plan->talk && i < load->plan->clients; i++)
        result->connected += load->clients[i].fd >= 0;
    result->done = true;
}

static void hold(const struct run *run)
{
    while (!is_stopped(run))
        poll(NULL, 0, TICK_NS / 1000000);
}

static void go(struct run *run)
{
    struct load *load = &run->load;
    const struct load_plan *plan = load->plan;
    uint64_t now_ns = clock_ns();
    for (unsigned i = 0; i < plan->slow; i++)
        client_dial_slow(load, &load->clients[i], now_ns);
    run->cpu_ns = cpu_ns();
    run->start_ns = clock_ns();
    run->end_ns = plan->duration_ns > 0 ? run->start_ns + plan->duration_ns : UINT64_MAX;
    for (unsigned i = plan->slow; i < plan->clients; i++)
        line_join(&load->free, &load->clients[i].place, run->start_ns);
    begin_some(run, BEGIN_AT_ONCE);
    while (!is_over(run)) {
        wait_and_hear(run);
        look_at_lines(run);
        begin_some(run, BEGIN_AT_ONCE);
    }
    conclude(run);
    if (plan->hold)
        hold(run);
}

int load_run(const struct load_plan *plan, const volatile bool *stop, struct load_result *ret_result)
{
    bool stream = plan->address.socktype == SOCK_STREAM;
    struct run run = {
        .load = { .plan = plan, .result = ret_result, .stream = stream, .reuses = plan->talk || !stream,
                  .epoll_fd = -1 },
        .stop = stop,
    };
    *ret_result = (struct load_result){ .fairness = 1 };
    const char *complaint = complain(plan);
    int r = complaint ? -EINVAL : prepare(&run, ret_result);
    if (r == 0)
        go(&run);
    else if (!*ret_result->why)
        snprintf(ret_result->why, sizeof ret_result->why, "%s", complaint ? complaint : strerror(-r));
    clean_up(&run);
    return r;
}

int load_choose_cpu(void)
{
    cpu_set_t cpus;
    if (sched_getaffinity(0, sizeof cpus, &cpus) < 0 || CPU_COUNT(&cpus) < 2)
        return -1;
    int cpu = CPU_SETSIZE - 1;
    while (!CPU_ISSET(cpu, &cpus))
        cpu--;
    return cpu;
}

uint64_t load_errors(const struct load_result *result)
{
    return result->refused + result->cut_off + result->wrong + result->unanswered;
}

bool load_was_bottleneck(const struct load_plan *plan, const struct load_result *result)
{
    if (result->elapsed_ns < TICK_NS)   /* too short to tell */
        return false;
    double busy = (double)result->cpu_ns / (double)result->elapsed_ns;
    return busy > 0.9 || (plan->rate > 0 && busy > 0.5 && result->late > result->begun / 100);
}
