#include "load.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "../clock.h"
#include "../descriptors.h"
#include "client.h"
#include "connection.h"
#include "enough.h"
#include "pace.h"
#include "plan.h"
#include "slow.h"

#define EVENTS       256
#define BEGIN_AT_ONCE 64            /* requests begun before the answers are looked at again */
#define OWN_DESCRIPTORS 8           /* beside those of the clients, and those that are open already */

/* --- before it ---------------------------------------------------------------------------------------------------- */

static int find_descriptors(const struct run *run)
{
    unsigned clients = run->plan->clients;
    unsigned long wanted = (unsigned long)clients + (unsigned)run->epoll_fd + OWN_DESCRIPTORS;
    unsigned long most = descriptors_raise();
    if (wanted <= most)
        return 0;
    snprintf(run->result->why, sizeof run->result->why,
             "%u clients need %lu descriptors, and the hard limit is %lu: root can raise it with 'ulimit -Hn %lu'",
             clients, wanted, most, wanted);
    return -EMFILE;
}

static int make_clients(struct run *run)
{
    run->clients = calloc(run->plan->clients, sizeof *run->clients);
    run->buffer = malloc(RUN_BUFFER_SIZE);
    if (!run->clients || !run->buffer)
        return -ENOMEM;
    for (unsigned i = 0; i < run->plan->clients; i++) {
        run->clients[i].fd = -1;
        run->clients[i].slow = i < run->plan->slow;
    }
    return 0;
}

static int prepare(struct run *run)
{
    struct line *lines[] = { &run->free, &run->asking, &run->thinking, &run->resting, &run->dripping };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        line_open(lines[i]);
    run->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (run->epoll_fd < 0)
        return -errno;
    int r = find_descriptors(run);
    return r < 0 ? r : make_clients(run);
}

static void clean_up(struct run *run)
{
    for (unsigned i = 0; run->clients && i < run->plan->clients; i++)
        connection_hang_up(&run->clients[i]);
    if (run->epoll_fd >= 0)
        close(run->epoll_fd);
    free(run->clients);
    free(run->buffer);
}

/* --- the loop ----------------------------------------------------------------------------------------------------- */

static uint64_t earlier(uint64_t a_ns, uint64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

/* Silent ones are looked at in a year. */
static uint64_t drip_ns(const struct run *run)
{
    return run->plan->drip_ms > 0 ? run->plan->drip_ms * 1000000ull : UINT64_C(31536000000000000);
}

static uint64_t next_look_ns(const struct run *run, uint64_t now_ns)
{
    uint64_t next_ns = run->closed_ns > 0 ? enough_last_ns(run) : run->end_ns;
    next_ns = earlier(next_ns, line_next_ns(&run->asking, run->plan->patience_ns));
    next_ns = earlier(next_ns, line_next_ns(&run->resting, RUN_REST_NS));
    next_ns = earlier(next_ns, line_next_ns(&run->thinking, run->plan->think_ms * 1000000ull));
    next_ns = earlier(next_ns, line_next_ns(&run->dripping, drip_ns(run)));
    if (run_first(&run->free))
        next_ns = earlier(next_ns, pace_next_ns(run));
    return run->stop ? earlier(next_ns, now_ns + RUN_TICK_NS) : next_ns;
}

static void look_at_lines(struct run *run)
{
    uint64_t now_ns = clock_ns();
    while (line_next_ns(&run->asking, run->plan->patience_ns) <= now_ns)
        client_give_up(run, run_first(&run->asking), now_ns);
    while (line_next_ns(&run->resting, RUN_REST_NS) <= now_ns)
        client_wake(run, run_first(&run->resting), now_ns);
    while (line_next_ns(&run->thinking, run->plan->think_ms * 1000000ull) <= now_ns)
        line_join(&run->free, &run_first(&run->thinking)->place, now_ns);
    while (line_next_ns(&run->dripping, drip_ns(run)) <= now_ns)
        slow_drip(run, run_first(&run->dripping), now_ns);
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
    int n = wait_for_events(run->epoll_fd, events, next_ns > now_ns ? next_ns - now_ns : 0);
    for (int i = 0; i < n; i++) {
        enough_hear(run, events[i].data.ptr);
        client_event(run, events[i].data.ptr, events[i].events);
        pace_begin(run, 1);
    }
}

static bool is_over(struct run *run)
{
    uint64_t now_ns = clock_ns();
    enough_look(run, now_ns);
    if (run->closed_ns == 0 && (enough_is_begun(run) || (now_ns >= run->end_ns && !pace_is_due(run, now_ns))))
        run->closed_ns = now_ns;
    return run_is_stopped(run) ||
           (run->closed_ns > 0 && (run->outstanding == 0 || enough_is_waited(run, now_ns)));
}

/* --- after it ----------------------------------------------------------------------------------------------------- */

static double find_fairness(const struct run *run)
{
    double sum = 0, squares = 0, n = run->plan->clients - run->plan->slow;
    for (unsigned i = run->plan->slow; i < run->plan->clients; i++) {
        sum += (double)run->clients[i].answers;
        squares += (double)run->clients[i].answers * (double)run->clients[i].answers;
    }
    return squares > 0 && run->plan->rate == 0 ? sum * sum / (n * squares) : 1;
}

static void end_outstanding(struct run *run, uint64_t now_ns)
{
    for (unsigned i = 0; run->outstanding > 0 && i < run->plan->clients; i++) {
        struct client *client = &run->clients[i];
        if (client->busy && !run_is_stopped(run))
            client_give_up(run, client, now_ns);
        else if (client->busy && !client->poison)
            run->result->begun--;
    }
}

static void conclude(struct run *run)
{
    struct load_result *result = run->result;
    uint64_t now_ns = clock_ns();
    result->cpu_ns = clock_of_ns(CLOCK_THREAD_CPUTIME_ID) - run->cpu_ns;
    result->waiting = pace_waiting(run);
    end_outstanding(run, now_ns);
    result->elapsed_ns = (run->answered_ns > 0 ? run->answered_ns : now_ns) - run->start_ns;
    if (run->failed_ns > 0 && now_ns - run->failed_ns > result->outage_ns)
        result->outage_ns = now_ns - run->failed_ns;
    result->fairness = find_fairness(run);
    for (unsigned i = 0; run->plan->talk && i < run->plan->clients; i++)
        result->connected += run->clients[i].fd >= 0;
    result->done = true;
}

static void hold(const struct run *run)
{
    while (!run_is_stopped(run))
        poll(NULL, 0, RUN_TICK_NS / 1000000);
}

static void go(struct run *run)
{
    const struct load_plan *plan = run->plan;
    uint64_t now_ns = clock_ns();
    for (unsigned i = 0; i < plan->slow; i++)
        slow_dial(run, &run->clients[i], now_ns);
    run->cpu_ns = clock_of_ns(CLOCK_THREAD_CPUTIME_ID);
    run->start_ns = clock_ns();
    run->limit_ns = plan->limit_ns > 0 ? run->start_ns + plan->limit_ns : UINT64_MAX;
    run->end_ns = earlier(plan->duration_ns > 0 ? run->start_ns + plan->duration_ns : UINT64_MAX, run->limit_ns);
    for (unsigned i = plan->slow; i < plan->clients; i++)
        line_join(&run->free, &run->clients[i].place, run->start_ns);
    pace_begin(run, BEGIN_AT_ONCE);
    while (!is_over(run)) {
        wait_and_hear(run);
        look_at_lines(run);
        pace_begin(run, BEGIN_AT_ONCE);
    }
    conclude(run);
    if (plan->hold)
        hold(run);
}

int load_run(const struct load_plan *plan, const volatile bool *stop, struct load_result *ret_result)
{
    bool stream = plan->address.socktype == SOCK_STREAM;
    struct run run = { .plan = plan, .result = ret_result, .stop = stop, .stream = stream,
                       .reuses = plan->talk || !stream, .epoll_fd = -1 };
    *ret_result = (struct load_result){ .fairness = 1 };
    const char *complaint = plan_complaint(plan);
    int r = complaint ? -EINVAL : prepare(&run);
    if (r == 0)
        go(&run);
    else if (!*ret_result->why)
        snprintf(ret_result->why, sizeof ret_result->why, "%s", complaint ? complaint : strerror(-r));
    clean_up(&run);
    return r;
}

/* --- what it means ------------------------------------------------------------------------------------------------ */

uint64_t load_errors(const struct load_result *result)
{
    return result->refused + result->cut_off + result->wrong + result->unanswered;
}

bool load_was_bottleneck(const struct load_plan *plan, const struct load_result *result)
{
    if (result->elapsed_ns < RUN_TICK_NS)   /* too short to tell */
        return false;
    double busy = (double)result->cpu_ns / (double)result->elapsed_ns;
    return busy > 0.9 || (plan->rate > 0 && busy > 0.5 && result->late > result->begun / 100);
}
