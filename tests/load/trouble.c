/* The load generator: servers that refuse, have no room or fail for a while, clients that are slow, and plans that
 * cannot be run. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include "../../tools/load/generator.h"
#include "answering.h"

TestSuite(load_trouble, .timeout = 600);

Test(load_trouble, of_being_refused_is_counted_and_the_client_rests)
{
    struct load_call calls[5];
    struct load_plan plan = serve_with(upper, "tcp://127.0.0.1:0");
    end_server();
    plan.clients = 1;
    plan.count = 5;
    plan.calls = calls;
    plan.calls_room = 5;
    struct load_result *result = run(&plan);
    cr_expect_eq(result->refused, 5);
    cr_expect_eq(result->refusal, ECONNREFUSED);
    cr_expect_geq(calls[4].called_ns - calls[0].called_ns, 40 * MS_NS);
    cr_expect(calls[4].ended_ns >= calls[4].called_ns && !calls[4].answered);
}

Test(load_trouble, of_being_refused_is_told_for_datagrams_too)
{
    struct load_plan plan = serve_with(upper, "udp://127.0.0.1:0");
    end_server();
    cr_expect_eq(run(&plan)->refused, 40);
    plan = serve_with(upper, "unix:@switchboard-load-test");
    end_server();
    cr_expect_eq(run(&plan)->refused, 40);
}

/* --- a full backlog ----------------------------------------------------------------------------------------------- */

static int listener;

/* Accepts everyone, and answers each line in capitals, one caller after the other. */
static void *accept_all(void *unused)
{
    (void)unused;
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0; close(fd)) {
        char line[64];
        ssize_t n = recv(fd, line, sizeof line, MSG_WAITALL);
        for (ssize_t i = 0; i < n; i++)
            line[i] = line[i] >= 'a' && line[i] <= 'z' ? (char)(line[i] - 32) : line[i];
        if (n > 0)
            send(fd, line, (size_t)n, MSG_NOSIGNAL);
    }
    return NULL;
}

static struct load_plan listen_at(const char *text)
{
    struct load_plan plan = { .clients = 8, .count = 8, .patience_ns = 120 * SECOND_NS, .grace_ns = 120 * SECOND_NS,
                              .cpu = -1 };
    struct sb_address *address = &plan.address;
    cr_assert_eq(sb_address_parse(text, NULL, address, NULL), 0);
    listener = socket(address->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(listener, &address->sa, address->size), 0);
    cr_assert_eq(listen(listener, 1), 0);
    address->size = sizeof address->un;
    cr_assert_eq(getsockname(listener, &address->sa, &address->size), 0);
    return plan;
}

static void *run_plan(void *plan)
{
    static struct load_result result;
    cr_assert_eq(load_run(plan, NULL, &result), 0);
    return &result;
}

/* Nobody accepts before the eighth request has begun, and then a backlog of one has long refused some. */
static void expect_called_again(const char *address, uint64_t least)
{
    struct load_plan plan = listen_at(address);
    struct load_call calls[8] = { { 0 } };
    struct load_result *result;
    pthread_t loader, accepter;
    plan.calls = calls;
    plan.calls_room = 8;
    cr_assert_eq(pthread_create(&loader, NULL, run_plan, &plan), 0);
    while (__atomic_load_n(&calls[7].called_ns, __ATOMIC_SEQ_CST) == 0)
        sched_yield();
    cr_assert_eq(pthread_create(&accepter, NULL, accept_all, NULL), 0);
    pthread_join(loader, (void **)&result);
    cr_expect_eq(result->answered, 8);
    cr_expect_geq(result->called_again, least, "%lu called again", result->called_again);
    cr_expect_leq(result->called_again, 7);
    shutdown(listener, SHUT_RDWR);
    pthread_join(accepter, NULL);
    close(listener);
}

Test(load_trouble, with_a_full_backlog_lets_clients_call_again)
{
    expect_called_again("tcp://127.0.0.1:0", 5);
    expect_called_again("unix:@switchboard-load-test", 5);
}

/* --- slow clients ------------------------------------------------------------------------------------------------- */

static _Atomic unsigned drips, lines;

/* A slow caller sends a byte, the others a line at once. */
static int tell_them_apart(struct sb_request *request)
{
    char bytes[64];
    ssize_t n;
    while ((n = sb_recv(request, bytes, sizeof bytes)) > 0) {
        bool line = memchr(bytes, '\n', (size_t)n) != NULL;
        *(line ? &lines : &drips) += line ? 1 : (unsigned)n;
        if (sb_sendall(request, line ? "A\n" : "faster!\n", line ? 2 : 8) < 0)
            break;
    }
    return 0;
}

static struct load_plan serve_slow(int (*handle)(struct sb_request *))
{
    struct load_plan plan = serve_with(handle, "tcp://127.0.0.1:0");
    plan.slow = 3;
    plan.drip_ms = 1;
    plan.rate = 200;
    plan.dialogue = (struct load_dialogue){ .expects = LOAD_TEXT, .question = "a\n", .question_size = 2,
                                            .answer = "A\n", .answer_size = 2 };
    return plan;
}

Test(load_trouble, with_slow_clients_that_never_end_a_line)
{
    struct load_plan plan = serve_slow(tell_them_apart);
    cr_expect_eq(run(&plan)->answered, 40);
    wait_until_at_least(&drips, 6);
    cr_expect_eq(lines, 40);
    end_server();
}

/* Hangs up on those who send no whole line. */
static int leave_slow(struct sb_request *request)
{
    char bytes[64];
    ssize_t n = sb_recv(request, bytes, sizeof bytes);
    bool line = n > 0 && memchr(bytes, '\n', (size_t)n);
    if (n > 0 && !line)
        drips++;
    return line ? sb_sendall(request, "A\n", 2) : 0;
}

Test(load_trouble, with_slow_clients_that_come_back)
{
    struct load_plan plan = serve_slow(leave_slow);
    cr_expect_eq(run(&plan)->answered, 40);
    wait_until_at_least(&drips, 4);
    end_server();
}

/* Nobody asks, so nothing is counted: they stay until they are told. */
Test(load_trouble, with_nobody_but_silent_clients)
{
    struct load_plan plan = serve_with(silent, "tcp://127.0.0.1:0");
    struct generator generator;
    char why[LOAD_WHY_SIZE];
    plan.slow = plan.clients;
    plan.count = 0;
    plan.duration_ns = 1000 * SECOND_NS;
    cr_assert_eq(generator_start(&generator, &plan), 0);
    wait_until_equal(&seen.now, plan.clients);
    generator_stop(&generator);
    cr_expect_eq(generator_wait(&generator, why, sizeof why), 0, "%s", why);
    cr_expect_eq(generator.result->begun, 0);
    generator_free(&generator);
    wait_until_equal(&seen.now, 0);
    end_server();
}

/* Takes one caller, who must be a slow one. */
static void *accept_slow(void *unused)
{
    char byte;
    (void)unused;
    int fd = accept(listener, NULL, NULL);
    while (recv(fd, &byte, 1, 0) > 0)
        ++*(byte == '\n' ? &lines : &drips);
    close(fd);
    return NULL;
}

Test(load_trouble, with_slow_clients_that_come_first)
{
    struct load_plan plan = listen_at("tcp://127.0.0.1:0");
    pthread_t accepter;
    cr_assert_eq(pthread_create(&accepter, NULL, accept_slow, NULL), 0);
    plan.slow = 1;
    plan.drip_ms = 1;
    plan.clients = 2;
    plan.count = 1;
    plan.grace_ns = SECOND_NS;
    cr_expect_eq(run(&plan)->unanswered, 1);
    pthread_join(accepter, NULL);
    cr_expect_geq(drips, 1);
    cr_expect_eq(lines, 0);
    close(listener);
}

/* --- an outage ---------------------------------------------------------------------------------------------------- */

/* Hangs up on the callers from the tenth to the fourteenth. */
static int fail_for_a_while(struct sb_request *request)
{
    static _Atomic unsigned callers;
    unsigned nth = ++callers;
    return nth >= 10 && nth < 15 ? 0 : upper(request);
}

Test(load_trouble, of_an_outage_is_measured_from_the_first_failure_to_the_next_answer)
{
    struct load_call calls[40];
    struct load_plan plan = serve_with(fail_for_a_while, "tcp://127.0.0.1:0");
    plan.clients = 1;
    plan.calls = calls;
    plan.calls_room = 40;
    struct load_result *result = run(&plan);
    cr_expect_eq(result->answered, 35);
    cr_expect_eq(result->cut_off, 5);
    cr_expect(calls[8].answered && !calls[9].answered && !calls[13].answered && calls[14].answered);
    cr_expect_eq(result->outage_ns, calls[14].ended_ns - calls[9].ended_ns);
    end_server();
}

/* --- plans that cannot be run ------------------------------------------------------------------------------------- */

static const struct load_plan sound = { .address = { .socktype = SOCK_STREAM }, .clients = 2, .count = 1,
                                        .patience_ns = 1, .cpu = -1 };

#define EXPECT_SENSELESS(...) \
    do { \
        struct load_plan plan = sound; \
        struct load_result result; \
        __VA_ARGS__; \
        cr_expect_eq(load_run(&plan, NULL, &result), -EINVAL, #__VA_ARGS__); \
        cr_expect_neq(result.why[0], '\0'); \
    } while (0)

Test(load_trouble, with_a_senseless_plan_is_told)
{
    EXPECT_SENSELESS(plan.clients = 0);
    EXPECT_SENSELESS(plan.clients = LOAD_CLIENTS_MAX + 1);
    EXPECT_SENSELESS(plan.slow = 3, plan.drip_ms = 1);
    EXPECT_SENSELESS(plan.think_ms = 1, plan.rate = 1);
    EXPECT_SENSELESS(plan.count = 0);
    EXPECT_SENSELESS(plan.patience_ns = 0);
    EXPECT_SENSELESS(plan.grace_ns = 2);
    EXPECT_SENSELESS(plan.rate = -1);
    EXPECT_SENSELESS(plan.rate = 0.0 / 0.0);
    EXPECT_SENSELESS(plan.dialogue.expects = LOAD_NUMBER);
    EXPECT_SENSELESS(plan.dialogue = (struct load_dialogue){ LOAD_TEXT, "a", NULL, 1, 0 });
    EXPECT_SENSELESS(plan.poison = "die", plan.poison_each = 0);
    EXPECT_SENSELESS(plan.poison = "", plan.poison_each = 2);
    EXPECT_SENSELESS(plan.poison = "die", plan.poison_each = 2, plan.talk = true);
    EXPECT_SENSELESS(plan.poison = "die", plan.poison_each = 2, plan.address.socktype = SOCK_DGRAM);
}

Test(load_trouble, with_a_cpu_that_is_not_there_is_told)
{
    for (int cpu = CPU_SETSIZE - 1; cpu <= CPU_SETSIZE; cpu++) {
        struct load_plan plan = sound;
        struct generator generator;
        char why[LOAD_WHY_SIZE];
        plan.cpu = cpu;
        cr_assert_eq(generator_start(&generator, &plan), 0);
        cr_expect_eq(generator_wait(&generator, why, sizeof why), -EINVAL);
        cr_expect_not_null(strstr(why, "CPU"), "%s", why);
        generator_free(&generator);
    }
}

Test(load_trouble, with_too_few_descriptors_is_told_with_the_cure)
{
    struct load_plan plan = sound;
    struct load_result result;
    struct rlimit limit = { .rlim_cur = 50, .rlim_max = 100 };
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    plan.clients = 98;
    cr_expect_eq(load_run(&plan, NULL, &result), -EMFILE);
    cr_expect(strstr(result.why, "98 clients") && strstr(result.why, "ulimit -Hn"), "%s", result.why);
}

Test(load_trouble, raises_the_soft_limit_of_descriptors)
{
    struct rlimit limit = { .rlim_cur = 30, .rlim_max = 200 };
    struct load_plan plan = serve_with(upper, "udp://127.0.0.1:0");
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    plan.clients = 100;
    plan.count = 300;
    cr_expect_eq(run(&plan)->answered, 300);
    end_server();
}

/* --- the generator's own limit ------------------------------------------------------------------------------------ */

static bool is_bottleneck(double rate, struct load_result result)
{
    struct load_plan plan = { .rate = rate };
    return load_was_bottleneck(&plan, &result);
}

Test(load_trouble, of_the_generator_itself_is_told)
{
    cr_expect(is_bottleneck(0, (struct load_result){ .elapsed_ns = SECOND_NS, .cpu_ns = 950 * MS_NS }));
    cr_expect(!is_bottleneck(0, (struct load_result){ .elapsed_ns = SECOND_NS, .cpu_ns = 700 * MS_NS }));
    cr_expect(!is_bottleneck(0, (struct load_result){ .elapsed_ns = 10 * MS_NS, .cpu_ns = 10 * MS_NS }));
    struct load_result late = { .elapsed_ns = SECOND_NS, .cpu_ns = 600 * MS_NS, .begun = 1000, .late = 11 };
    cr_expect(is_bottleneck(1, late));
    cr_expect(!is_bottleneck(0, late), "late is a word of the open loop");
    late.late = 10;
    cr_expect(!is_bottleneck(1, late));
    late.late = 500;
    late.cpu_ns = 50 * MS_NS;
    cr_expect(!is_bottleneck(1, late), "it had time enough, but was not let run");
}
