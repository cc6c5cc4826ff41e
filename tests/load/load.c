/* The load generator: who asks when, how often, how long, and what is left behind. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>
#include "../../tools/load/generator.h"
#include "answering.h"

TestSuite(load, .timeout = 600);

/* --- what is asked ------------------------------------------------------------------------------------------------ */

static void expect_all_answered(const char *address, bool talk, unsigned connections)
{
    struct load_plan plan = serve_with(upper, address);
    plan.talk = talk;
    struct load_result *result = run(&plan);
    cr_expect_eq(result->answered, 40, "%s", address);
    cr_expect_eq(seen.connections, connections, "%s: %u connections", address, seen.connections);
    cr_expect_eq(result->connected, talk ? 8 : 0);
    wait_until_equal(&seen.now, 0);
    end_server();
    seen = (struct seen){ .connections = 0 };
}

Test(load, asks_over_every_kind_of_address)
{
    expect_all_answered("tcp://127.0.0.1:0", false, 40);
    expect_all_answered("tcp://127.0.0.1:0", true, 8);
    expect_all_answered("unix:@switchboard-load-test", false, 40);
    expect_all_answered("unix:@switchboard-load-test", true, 8);
    expect_all_answered("udp://127.0.0.1:0", true, 40);
    expect_all_answered("unixgram:@switchboard-load-test", true, 40);
}

static int count_descriptors(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    cr_assert_not_null(folder);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

Test(load, leaves_no_descriptor_behind)
{
    int descriptors = count_descriptors();
    struct load_plan plan = serve_with(upper, "tcp://127.0.0.1:0");
    run(&plan);
    end_server();
    cr_expect_eq(count_descriptors(), descriptors);
}

/* Sooner or later, within seconds. */
static bool is_confined_to(pid_t pid, int cpu)
{
    cpu_set_t cpus;
    for (int i = 0; i < 10000; i++) {
        if (sched_getaffinity(pid, sizeof cpus, &cpus) == 0 && CPU_COUNT(&cpus) == 1 && CPU_ISSET(cpu, &cpus))
            return true;
        usleep(1000);
    }
    return false;
}

Test(load, in_a_process_of_its_own_keeps_to_its_cpu)
{
    struct load_plan plan = serve_with(silent, "tcp://127.0.0.1:0");
    struct generator generator;
    char why[LOAD_WHY_SIZE];
    plan.cpu = sched_getcpu();
    cr_assert_eq(generator_start(&generator, &plan), 0);
    cr_expect(is_confined_to(generator.pid, plan.cpu));
    generator_stop(&generator);
    cr_expect_eq(generator_wait(&generator, why, sizeof why), 0, "%s", why);
    generator_free(&generator);
    end_server();
}

/* Sockets of this machine, also those that no process has any more, that have been connected to a port and wait for a
 * minute. */
static int count_time_wait(unsigned short port)
{
    char line[256];
    unsigned remote, state;
    int count = 0;
    FILE *table = fopen("/proc/net/tcp", "re");
    cr_assert_not_null(table);
    while (fgets(line, sizeof line, table))
        if (sscanf(line, "%*d: %*x:%*x %*x:%x %x", &remote, &state) == 2)
            count += remote == port && state == TCP_TIME_WAIT;
    fclose(table);
    return count;
}

Test(load, ends_connections_in_order_and_leaves_no_port_waiting)
{
    struct load_plan plan = serve_with(upper, "tcp://127.0.0.1:0");
    int before = count_time_wait(ntohs(plan.address.in.sin_port));  /* of an earlier server there */
    run(&plan);
    wait_until_equal(&seen.now, 0);
    end_server();
    cr_expect_eq(seen.resets, 0);
    cr_expect_leq(count_time_wait(ntohs(plan.address.in.sin_port)), before);
}

static bool was_seen(unsigned short port)
{
    bool found = false;
    for (unsigned i = 0; i < CALLS_ROOM; i++)
        found |= seen.ports[i] == port;
    return found && port != 0;
}

Test(load, records_the_first_calls_with_their_ports)
{
    struct load_call calls[20];
    struct load_plan plan = serve_with(upper, "tcp://127.0.0.1:0");
    plan.calls = calls;
    plan.calls_room = 20;
    struct load_result *result = run(&plan);
    cr_assert_eq(result->n_calls, 20);
    for (int i = 0; i < 20; i++) {
        cr_expect(calls[i].answered && calls[i].called_ns > 0 && calls[i].ended_ns > calls[i].called_ns);
        cr_expect(was_seen(calls[i].port), "nobody called from port %d", calls[i].port);
    }
    plan.talk = true;
    plan.clients = 1;
    run(&plan);
    for (int i = 1; i < 20; i++)
        cr_expect(calls[i].port == calls[0].port && calls[i].called_ns >= calls[i - 1].ended_ns);
    end_server();
}

Test(load, sends_poison_instead_of_some_requests_and_counts_it_apart)
{
    struct load_plan plan = serve_with(upper, "tcp://127.0.0.1:0");
    plan.poison = "poison\n";
    plan.poison_each = 5;
    struct load_result *result = run(&plan);
    cr_expect_eq(result->begun, 40);
    cr_expect_eq(result->answered, 40);
    cr_expect_eq(result->poisoned, 9);      /* each fifth of 49 */
    wait_until_equal(&seen.poison, 9);
    end_server();
}

/* --- when it ends ------------------------------------------------------------------------------------------------- */

struct background {
    struct load_plan plan;
    struct load_result result;
    volatile bool stop;
    pthread_t thread;
};

static void *run_background(void *argument)
{
    struct background *background = argument;
    load_run(&background->plan, &background->stop, &background->result);
    return NULL;
}

static struct background *start(struct load_plan plan)
{
    static struct background background;
    background.plan = plan;
    cr_assert_eq(pthread_create(&background.thread, NULL, run_background, &background), 0);
    return &background;
}

Test(load, sends_so_much_poison_and_nothing_else)
{
    struct load_plan plan = serve_with(upper, "tcp://127.0.0.1:0");
    plan.poison = "poison\n";
    plan.poison_each = 1;
    plan.clients = 1;
    plan.count = 3;
    struct load_result *result = run(&plan);
    cr_expect_eq(result->poisoned, 3);
    cr_expect_eq(result->begun, 0);
    cr_expect_eq(seen.poison, 3);
    end_server();
}

Test(load, holds_its_connections_until_it_is_told)
{
    struct load_plan plan = serve_with(upper, "tcp://127.0.0.1:0");
    plan.talk = true;
    plan.hold = true;
    struct background *background = start(plan);
    wait_until_equal(&seen.connections, 8);
    while (!__atomic_load_n(&background->result.done, __ATOMIC_SEQ_CST))
        sched_yield();
    cr_expect_eq(background->result.answered, 40);
    cr_expect_eq(background->result.connected, 8);
    cr_expect_eq(seen.now, 8);
    background->stop = true;
    pthread_join(background->thread, NULL);
    wait_until_equal(&seen.now, 0);
    end_server();
}

Test(load, stops_when_it_is_told_and_does_not_count_what_was_under_way)
{
    struct background *background = start(serve_with(silent, "tcp://127.0.0.1:0"));
    wait_until_equal(&seen.connections, 8);
    background->stop = true;
    pthread_join(background->thread, NULL);
    cr_expect(background->result.done);
    cr_expect_eq(background->result.begun, 0);
    cr_expect_eq(load_errors(&background->result), 0);
    wait_until_equal(&seen.now, 0);
    end_server();
}

Test(load, gives_an_answer_up_after_its_patience)
{
    struct load_plan plan = serve_with(silent, "tcp://127.0.0.1:0");
    plan.patience_ns = plan.grace_ns = 20 * MS_NS;
    struct load_result *result = run(&plan);
    cr_expect_eq(result->unanswered, 40);
    cr_expect_geq(result->elapsed_ns, 5 * 20 * MS_NS);
    cr_expect_geq(result->outage_ns, 4 * 20 * MS_NS);
    wait_until_equal(&seen.connections, 40);
    wait_until_equal(&seen.now, 0);
    end_server();
}

Test(load, waits_for_the_last_answers_no_longer_than_its_grace)
{
    struct load_plan plan = serve_with(silent, "tcp://127.0.0.1:0");
    plan.count = 4;
    plan.patience_ns = 3600 * SECOND_NS;
    plan.grace_ns = 10 * MS_NS;
    cr_expect_eq(run(&plan)->unanswered, 4);
    end_server();
}

Test(load, begins_nothing_when_time_is_up)
{
    static struct load_call calls[10000];
    struct load_plan plan = serve_with(upper, "tcp://127.0.0.1:0");
    plan.count = 0;
    plan.clients = 1;
    plan.duration_ns = 3 * MS_NS;
    plan.calls = calls;
    plan.calls_room = 10000;
    struct load_result *result;
    do      /* once more, if it did not run before its time was up */
        result = run(&plan);
    while (result->n_calls < 2);
    cr_assert_eq(result->n_calls, result->begun);
    /* Between its look at the clock and the call it may have been made to wait, and then that was the last. */
    cr_expect_leq(calls[result->n_calls - 2].called_ns, calls[0].called_ns + 3 * MS_NS);
    end_server();
}

/* --- the rate and the shares -------------------------------------------------------------------------------------- */

Test(load, tells_how_many_were_due_and_had_no_client)
{
    struct load_plan plan = serve_with(silent, "tcp://127.0.0.1:0");
    plan.clients = 1;
    plan.count = 0;
    plan.rate = 100;
    plan.duration_ns = 195 * MS_NS;
    plan.grace_ns = 0;
    struct load_result *result = run(&plan);
    cr_expect_leq(result->begun, 1);
    cr_expect_eq(result->unanswered, result->begun);
    cr_expect_eq(result->waiting, 20 - result->begun);
    end_server();
}

Test(load, asks_as_often_as_the_rate_says)
{
    struct load_plan plan = serve_with(upper, "tcp://127.0.0.1:0");
    plan.count = 100;
    plan.rate = 1000;
    struct load_result *result = run(&plan);
    cr_expect_eq(result->answered, 100);
    cr_expect_geq(result->elapsed_ns, 99 * MS_NS);
    cr_expect_geq(result->latency.sum_ns, result->service.sum_ns);
    end_server();
}

static _Atomic unsigned callers;

static int upper_for_the_first(struct sb_request *request)
{
    return callers++ == 0 ? upper(request) : silent(request);
}

Test(load, thinks_between_an_answer_and_the_next_request)
{
    struct load_plan plan = serve_with(upper, "tcp://127.0.0.1:0");
    plan.clients = 2;
    plan.count = 6;
    plan.think_ms = 30;
    struct load_result *result = run(&plan);
    cr_expect_eq(result->answered, 6);
    cr_expect_geq(result->elapsed_ns, 2 * 30 * MS_NS, "two of each client's three requests are thought about");
    end_server();
}

Test(load, tells_how_evenly_clients_are_answered)
{
    struct load_plan plan = serve_with(upper_for_the_first, "tcp://127.0.0.1:0");
    plan.talk = true;
    plan.clients = 1;
    cr_expect_eq(run(&plan)->fairness, 1);
    callers = 0;
    plan.clients = 4;
    plan.grace_ns = 0;
    struct load_result *result = run(&plan);
    cr_expect_float_eq(result->fairness, 0.25, 1e-9);
    callers = 0;
    plan.rate = 10000;
    plan.duration_ns = 5 * MS_NS;
    cr_expect_eq(run(&plan)->fairness, 1);
    end_server();
}
