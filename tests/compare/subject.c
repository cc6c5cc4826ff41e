/* What `switchboard compare` stands on: the server under measurement, and the picture of what it did. */
#include <criterion/criterion.h>
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../tools/compare/subject.h"
#include "../../tools/compare/timeline.h"
#include "../served.h"

#define PATIENCE_MS 120000      /* only what hangs takes so long */

/* What a test has started dies with it, and it with whoever runs the tests. */
static void end_with_runner(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

TestSuite(subject, .timeout = 600, .init = end_with_runner);
TestSuite(picture, .timeout = 600, .init = end_with_runner);

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * UINT64_C(1000000000) + now.tv_nsec;
}

static bool wait_a_moment(uint64_t deadline_ns, const char *what)
{
    static const struct timespec millisecond = { .tv_nsec = 1000000 };
    cr_assert(now_ns() < deadline_ns, "not in time: %s", what);
    nanosleep(&millisecond, NULL);
    return true;
}

#define UNTIL(condition)                                                                                   \
    for (uint64_t deadline_ns_ = now_ns() + PATIENCE_MS * UINT64_C(1000000);                               \
         !(condition) && wait_a_moment(deadline_ns_, #condition);)

/* --- a server ----------------------------------------------------------------------------------------------------- */

static struct subject subject;
static char why[SUBJECT_WHY_SIZE], address[SB_ADDRESS_TEXT_SIZE];

static struct subject_plan plan_for(const char *handler, const char *strategy)
{
    struct subject_plan plan = { .program = getenv("SWITCHBOARD"), .handler = handler, .strategy = strategy,
                                 .address = "tcp://127.0.0.1:0" };
    cr_assert_not_null(plan.program, "SWITCHBOARD must name the command");
    sched_getaffinity(0, sizeof plan.cpus, &plan.cpus);
    return plan;
}

static void start_plan(const struct subject_plan *plan)
{
    int r = subject_start(&subject, plan, NULL, why);
    cr_assert_eq(r, 0, "%s: %s", plan->strategy, why);
    sb_address_format(&subject.address, address);
}

static void start(const char *handler, const char *strategy)
{
    struct subject_plan plan = plan_for(handler, strategy);
    start_plan(&plan);
}

static void finish(void)
{
    subject_stop(&subject);
    cr_expect_eq(subject.status, 0);
    subject_free(&subject);
    cr_expect_eq(count_children(getpid()), 0);
}

static void fails(const struct subject_plan *plan, int error, const char *reason)
{
    int descriptors = count_descriptors(getpid());
    cr_expect_eq(subject_start(&subject, plan, NULL, why), error, "%s", why);
    cr_expect_eq(strncmp(why, reason, strlen(reason)), 0, "it says: %s", why);
    cr_expect_null(strchr(why, '\n'));
    cr_expect_eq(subject.pid, 0);
    cr_expect_eq(count_children(getpid()), 0);
    cr_expect_eq(count_descriptors(getpid()), descriptors);
}

static void ask(int requests)
{
    for (int i = 0; i < requests; i++) {
        int fd = dial(address);
        say(fd, "a", 1);
        hear(fd, "A", 1);
        close(fd);
    }
}

static void poison(const char *line)
{
    char byte;
    int fd = dial(address);
    say(fd, line, strlen(line));
    while (recv(fd, &byte, 1, 0) > 0);
    close(fd);
}

Test(subject, starts_serves_and_ends_with_nothing_left)
{
    int descriptors = count_descriptors(getpid());
    start("upper", "thread");
    cr_expect(subject_is_alive(&subject));
    ask(10);
    UNTIL(subject_is_at_rest(&subject));
    pid_t pid = subject.pid;
    cr_expect_eq(getpgid(pid), pid);
    subject_stop(&subject);
    cr_expect_not(subject_is_alive(&subject));
    cr_expect(subject_is_at_rest(&subject));
    cr_expect_eq(subject.pid, 0);
    cr_expect_eq(subject.status, 0);
    cr_expect(subject.usage.ru_utime.tv_usec > 0 || subject.usage.ru_stime.tv_usec > 0);
    subject_stop(&subject);
    subject_free(&subject);
    subject_free(&subject);
    cr_expect_lt(kill(pid, 0), 0);
    cr_expect_eq(count_children(getpid()), 0);
    cr_expect_eq(count_descriptors(getpid()), descriptors);
}

Test(subject, gets_its_discipline_its_arguments_and_datagrams)
{
    struct subject_plan plan = plan_for("upper", "prefork:2");
    plan.discipline = "mutex";
    plan.arguments[0] = "--backlog=7";
    start_plan(&plan);
    ask(3);
    cr_expect_str_eq(subject.board->strategy, "prefork:2");
    finish();
    plan = plan_for("upper", "serial");
    plan.address = "udp://127.0.0.1:0";
    start_plan(&plan);
    cr_expect_eq(subject.address.socktype, SOCK_DGRAM);
    ask(3);
    finish();
}

Test(subject, a_refusal_is_quoted)
{
    struct subject_plan plan = plan_for("upper", "nosuch");
    fails(&plan, -EBADRQC, "there is no strategy 'nosuch'");
    plan = plan_for("count", "serial");
    plan.address = "udp://127.0.0.1:0";
    fails(&plan, -EBADRQC, "the handler count does not suit udp");
    plan = plan_for("upper", "serial");
    plan.arguments[0] = "--backlog=many";
    fails(&plan, -EBADRQC, "--backlog=many: it must be a whole number");
}

Test(subject, a_program_that_is_none_of_ours_is_said)
{
    struct subject_plan plan = plan_for("upper", "serial");
    plan.program = "/nonexistent/switchboard";
    fails(&plan, -ECHILD, "cannot run /nonexistent/switchboard: No such file");
    plan.program = "/bin/true";
    fails(&plan, -ECHILD, "it ended with status 0 before it was ready");
    plan.program = "/bin/echo";
    fails(&plan, -EPROTO, "the program is not this version of switchboard");
}

Test(subject, is_called_off)
{
    volatile bool stop = true;
    struct subject_plan plan = plan_for("upper", "prefork:2");
    int descriptors = count_descriptors(getpid());
    cr_expect_eq(subject_start(&subject, &plan, &stop, why), -ECANCELED);
    cr_expect_eq(count_children(getpid()), 0);
    cr_expect_eq(count_descriptors(getpid()), descriptors);
}

Test(subject, a_crash_is_noticed_and_its_books_stay_open)
{
    struct subject_worker worker;
    start("crash", "serial");
    ask(5);
    UNTIL(sb_scoreboard_totals(subject.board).served == 5);
    poison("abort\n");
    UNTIL(!subject_is_alive(&subject));
    cr_expect(WIFSIGNALED(subject.status) && WTERMSIG(subject.status) == SIGABRT, "status %d", subject.status);
    cr_expect_eq(subject_workers(&subject, &worker, 1), 1);
    cr_expect_eq(worker.served, 5);
    subject_stop(&subject);
    cr_expect(WIFSIGNALED(subject.status));
    subject_free(&subject);
}

Test(subject, one_that_exits_by_itself_is_noticed)
{
    start("crash", "thread");
    poison("exit\n");
    UNTIL(!subject_is_alive(&subject));
    cr_expect(WIFEXITED(subject.status) && WEXITSTATUS(subject.status) == 3, "status %d", subject.status);
    subject_free(&subject);
}

Test(subject, workers_do_not_outlive_a_server_that_is_killed)
{
    start("upper", "prefork:3");
    subject_sample(&subject);
    cr_expect_eq(subject.processes, 4);
    pid_t group = subject.pid;
    kill(subject.pid, SIGKILL);
    UNTIL(!subject_is_alive(&subject));
    UNTIL(kill(-group, 0) < 0);
    subject_free(&subject);
}

Test(subject, one_that_does_not_listen_is_killed)
{
    struct subject_plan plan = plan_for("upper", "prefork:2");
    plan.end_ms = 100;
    start_plan(&plan);
    pid_t group = subject.pid;
    kill(group, SIGSTOP);
    subject_stop(&subject);
    cr_expect(WIFSIGNALED(subject.status) && WTERMSIG(subject.status) == SIGKILL, "status %d", subject.status);
    UNTIL(kill(-group, 0) < 0);
    subject_free(&subject);
}

Test(subject, dies_with_the_one_who_measures)
{
    int pipe_fds[2];
    pid_t pid, server = 0;
    cr_assert_eq(pipe(pipe_fds), 0);
    pid = fork();
    if (pid == 0) {
        start("upper", "serial");
        if (write(pipe_fds[1], &subject.pid, sizeof subject.pid) == sizeof subject.pid)
            pause();
        _exit(1);
    }
    struct pollfd end = { .fd = pipe_fds[0], .events = POLLIN };
    cr_assert_eq(poll(&end, 1, PATIENCE_MS), 1);
    cr_assert_eq(read(pipe_fds[0], &server, sizeof server), sizeof server);
    end.fd = pidfd_open(server, 0);
    cr_assert_geq(end.fd, 0);
    cr_expect_eq(poll(&end, 1, 0), 0, "it runs");
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    cr_expect_eq(poll(&end, 1, PATIENCE_MS), 1, "it has ended");
}

Test(subject, has_all_descriptors_and_its_own_cpus)
{
    struct subject_plan plan = plan_for("upper", "prefork:1");
    struct rlimit limit;
    cpu_set_t cpus;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = 100;
    setrlimit(RLIMIT_NOFILE, &limit);
    for (int cpu = 0, kept = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &plan.cpus) && kept++ > 0)
            CPU_CLR(cpu, &plan.cpus);
    start_plan(&plan);
    prlimit(subject.pid, RLIMIT_NOFILE, NULL, &limit);
    cr_expect_eq(limit.rlim_cur, limit.rlim_max);
    sched_getaffinity(subject.pid, sizeof cpus, &cpus);
    cr_expect(CPU_EQUAL(&cpus, &plan.cpus));
    finish();
}

Test(subject, all_processes_and_threads_are_there_at_once_and_weighed)
{
    static const struct { const char *strategy; unsigned processes, threads; } expected[] = {
        { "serial", 1, 1 }, { "fork", 1, 1 }, { "prefork:3", 4, 4 }, { "prethread:3", 1, 4 },
        { "prefork:2+prethread:2", 3, 7 },
    };
    for (unsigned i = 0; i < sizeof expected / sizeof *expected; i++) {
        start("upper", expected[i].strategy);
        cr_expect_eq(subject.pss_kb, 0);
        subject_sample(&subject);
        cr_expect_eq(subject.processes, expected[i].processes, "%s: %u processes", expected[i].strategy,
                     subject.processes);
        cr_expect_eq(subject.threads, expected[i].threads, "%s: %u threads", expected[i].strategy, subject.threads);
        cr_expect_gt(subject.pss_kb, 0);
        cr_expect_gt(subject_sample(&subject), 0);
        finish();
        cr_expect_eq(subject_sample(&subject), 0);
    }
}

Test(subject, peaks_stay)
{
    int fds[8];
    start("upper", "fork");
    for (int i = 0; i < 8; i++) {
        fds[i] = dial(address);
        say(fds[i], "a", 1);
        hear(fds[i], "A", 1);
    }
    subject_sample(&subject);
    cr_expect_eq(subject.processes, 9);
    long peak_kb = subject.pss_kb;
    for (int i = 0; i < 8; i++)
        close(fds[i]);
    UNTIL(count_children(subject.pid) == 0);
    subject_sample(&subject);
    cr_expect_eq(subject.processes, 9);
    cr_expect_geq(subject.pss_kb, peak_kb);
    finish();
}

/* --- who has served ----------------------------------------------------------------------------------------------- */

enum { ROOM = 64, REQUESTS = 60 };

static struct subject_worker workers[ROOM];

static uint64_t sum_served(unsigned *ret_rows)
{
    uint64_t sum = 0;
    unsigned rows = subject_workers(&subject, workers, ROOM);
    cr_assert_leq(rows, ROOM);
    for (unsigned i = 0; i < rows; i++)
        sum += workers[i].served;
    *ret_rows = rows;
    return sum;
}

/* Without those that have ended, who come last. */
static void expect_most_first(unsigned rows)
{
    for (unsigned i = 1; i < rows; i++)
        cr_expect(workers[i].pid == 0 || workers[i - 1].served >= workers[i].served);
}

Test(subject, workers_have_served_what_was_asked)
{
    static const struct { const char *strategy; unsigned most; bool own_threads; } expected[] = {
        { "serial", 1, true }, { "prefork:3", 3, true }, { "prethread:3", 3, true }, { "pool:3", 3, true },
        { "prefork:2+pool:2", 4, true }, { "thread", 1, false }, { "fiber:epoll", 1, false },
        { "prefork:2+thread", 2, false }, { "prefork:2+fiber:epoll", 2, false },
    };
    for (unsigned i = 0; i < sizeof expected / sizeof *expected; i++) {
        unsigned rows;
        start("upper", expected[i].strategy);
        cr_expect_eq(subject_workers(&subject, workers, ROOM), 0);
        ask(REQUESTS);
        UNTIL(sum_served(&rows) == REQUESTS);
        cr_expect(rows >= 1 && rows <= expected[i].most, "%s: %u rows", expected[i].strategy, rows);
        expect_most_first(rows);
        for (unsigned row = 0; row < rows; row++) {
            cr_expect_neq(workers[row].pid, 0, "%s", expected[i].strategy);
            cr_expect_eq(getpgid(workers[row].pid), subject.pid, "%s", expected[i].strategy);
            cr_expect_eq(workers[row].tid != 0, expected[i].own_threads, "%s", expected[i].strategy);
        }
        finish();
    }
}

Test(subject, children_for_one_request_are_counted_together)
{
    unsigned rows;
    start("upper", "fork");
    ask(REQUESTS);
    UNTIL(sum_served(&rows) == REQUESTS && rows == 1 && workers[0].pid == 0);
    cr_expect_eq(workers[0].tid, 0);
    finish();
}

Test(subject, requests_of_a_worker_that_crashed_come_last)
{
    unsigned rows;
    start("crash", "prefork:1");
    ask(REQUESTS);
    pid_t first = sb_scoreboard_slot(subject.board, 0)->pid;
    UNTIL(sum_served(&rows) == REQUESTS);
    poison("segfault\n");
    UNTIL(sum_served(&rows) == REQUESTS && (rows == 1 && workers[0].pid != first));
    finish();
}

Test(subject, the_most_are_shown_where_room_is_small)
{
    struct subject_worker most;
    unsigned rows;
    start("upper", "prefork:3");
    int held = dial(address);   /* keeps one of them busy, so at least two have served */
    say(held, "a", 1);
    hear(held, "A", 1);
    ask(REQUESTS);
    close(held);
    UNTIL(sum_served(&rows) == REQUESTS + 1);
    cr_expect_geq(rows, 2);
    cr_expect_eq(subject_workers(&subject, &most, 1), 1);
    cr_expect_eq(most.served, workers[0].served);
    finish();
}

/* --- what it says, and asks of the kernel ------------------------------------------------------------------------- */

Test(subject, may_complain_for_ever)
{
    char text[8192];
    start("crash", "thread");
    subject_complaint(&subject, text, sizeof text);
    cr_expect_str_eq(text, "");
    for (int i = 0; i < 300; i++)
        poison("error\n");
    ask(1);
    subject_complaint(&subject, text, sizeof text);
    struct stat status;
    cr_expect(fstat(subject.stderr_fd, &status) == 0 && status.st_size == 4096, "%ld bytes", (long)status.st_size);
    cr_expect_eq(strncmp(text, "switchboard: ", 13), 0, "%s", text);
    cr_expect(strlen(text) > 2048 && strlen(text) <= 4096, "%zu bytes", strlen(text));
    cr_expect_neq(text[strlen(text) - 1], '\n');
    char line[200];
    size_t size = strcspn(text, "\n") + 10;
    subject_complaint(&subject, line, size);
    cr_expect_eq(strlen(line), size - 10, "the one line that fits whole");
    subject_stop(&subject);
    subject_complaint(&subject, line, sizeof line);
    cr_expect_eq(strncmp(text, line, strcspn(line, "\n")), 0, "it can be read after the end");
    subject_free(&subject);
}

/* More than a pipe holds. */
Test(subject, may_write_much_to_its_standard_output)
{
    struct subject_plan plan = plan_for("print", "serial");
    char note[1000];
    memset(note, 'n', sizeof note);
    plan.address = "udp://127.0.0.1:0";
    plan.arguments[0] = "-o";
    plan.arguments[1] = "reply=A";
    start_plan(&plan);
    int fd = dial(address);
    for (int i = 0; i < 200; i++) {
        say(fd, note, sizeof note);
        hear(fd, "A", 1);
        subject_sample(&subject);
    }
    close(fd);
    finish();
}

Test(subject, system_calls_are_counted_where_the_kernel_lets_us)
{
    int64_t calls[2];
    for (int i = 0; i < 2; i++) {
        start("upper", "prefork:2");
        ask(i * REQUESTS);
        if (subject.calls_fd < 0) {
            finish();
            cr_expect_eq(subject.calls, -1);
            cr_skip_test("not permitted");
        }
        subject_stop(&subject);
        calls[i] = subject.calls;
        subject_free(&subject);
    }
    cr_expect_geq(calls[0], 100, "%lld: a program's start", (long long)calls[0]);
#ifndef __SANITIZE_ADDRESS__    /* its search for leaks makes thousands of its own, never as many */
    cr_expect_geq(calls[1] - calls[0], 3 * REQUESTS, "%lld: accept, recv, send, the workers' too",
                  (long long)(calls[1] - calls[0]));
#endif
}

/* --- the picture of what it did ----------------------------------------------------------------------------------- */

static struct timeline timeline;

enum { CALLS = 40 };

static uint16_t port_of(int fd)
{
    struct sockaddr_in own;
    socklen_t size = sizeof own;
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&own, &size), 0);
    return ntohs(own.sin_port);
}

/* Datagrams come from one socket. */
static void call(struct load_call *calls)
{
    int fd = -1;
    for (int i = 0; i < CALLS; i++) {
        uint64_t called_ns = now_ns();
        if (fd < 0)
            fd = dial(address);
        say(fd, "a", 1);
        hear(fd, "A", 1);
        calls[i] = (struct load_call){ called_ns, now_ns(), port_of(fd), true };
        if (subject.address.socktype == SOCK_STREAM) {
            close(fd);
            fd = -1;
        }
    }
    if (fd >= 0)
        close(fd);
}

static int draw(const struct load_call *calls, unsigned n_calls, struct timeline *ret_timeline)
{
    struct timeline_record record;
    cr_assert_eq(timeline_record_begin(&record, subject.board, subject.board->trace_room), 0);
    int r = timeline_make(&record, calls, n_calls, ret_timeline);
    timeline_record_finish(&record);
    return r;
}

/* Returns how many have ended. */
static unsigned make(const struct load_call *calls)
{
    unsigned ended = 0;
    cr_assert_eq(draw(calls, CALLS, &timeline), 0);
    for (size_t i = 0; i < timeline.n_requests; i++)
        ended += timeline.requests[i].ended_ms >= 0;
    return ended;
}

/* A request's end may be written down after its answer has come. */
static void make_when_all_have_ended(const struct load_call *calls)
{
    UNTIL(make(calls) == CALLS)
        timeline_finish(&timeline);
}

static void expect_order(const char *name)
{
    for (size_t i = 0; i < CALLS; i++) {
        const struct timeline_request *request = &timeline.requests[i];
        cr_expect(request->called_ms <= request->accepted_ms && request->accepted_ms <= request->began_ms &&
                  request->began_ms <= request->ended_ms && request->began_ms < request->answered_ms,
                  "%s: request %zu: called %g accepted %g began %g ended %g answered %g", name, i, request->called_ms,
                  request->accepted_ms, request->began_ms, request->ended_ms, request->answered_ms);
    }
}

Test(picture, of_each_strategy_is_whole)
{
    static const struct { const char *strategy, *address; unsigned most_lanes; } expected[] = {
        { "serial", "tcp://127.0.0.1:0", 1 }, { "thread", "tcp://127.0.0.1:0", CALLS },
        { "fork", "tcp://127.0.0.1:0", CALLS }, { "pool:2", "tcp://127.0.0.1:0", 2 },
        { "prefork:2", "tcp://127.0.0.1:0", 2 }, { "prethread:2", "tcp://127.0.0.1:0", 2 },
        { "fiber:epoll", "tcp://127.0.0.1:0", CALLS }, { "serial", "udp://127.0.0.1:0", 1 },
        { "thread", "udp://127.0.0.1:0", CALLS }, { "prefork:2", "udp://127.0.0.1:0", 2 },
    };
    struct load_call calls[CALLS];
    for (unsigned i = 0; i < sizeof expected / sizeof *expected; i++) {
        struct subject_plan plan = plan_for("upper", expected[i].strategy);
        char name[64];
        snprintf(name, sizeof name, "%s %.3s", expected[i].strategy, expected[i].address);
        plan.address = expected[i].address;
        plan.arguments[0] = "--trace=10000";
        start_plan(&plan);
        call(calls);
        make_when_all_have_ended(calls);
        expect_order(name);
        cr_expect_eq(timeline.dropped, 0);
        cr_expect(timeline.n_lanes >= 1 && timeline.n_lanes <= expected[i].most_lanes, "%s: %zu lanes", name,
                  timeline.n_lanes);
        cr_expect_neq(timeline.lanes[0].pid, 0);
        timeline_finish(&timeline);
        finish();
    }
}

Test(picture, tells_how_much_had_no_room)
{
    struct subject_plan plan = plan_for("upper", "serial");
    struct load_call calls[CALLS];
    plan.arguments[0] = "--trace=10000";
    start_plan(&plan);
    struct timeline_record record;
    cr_assert_eq(timeline_record_begin(&record, subject.board, 20), 0);
    call(calls);
    UNTIL(sb_scoreboard_totals(subject.board).served == CALLS);
    cr_assert_eq(timeline_make(&record, calls, CALLS, &timeline), 0);
    timeline_record_finish(&record);
    cr_expect_gt(timeline.dropped, CALLS);
    cr_expect_eq(timeline.n_requests, CALLS);
    cr_expect_geq(timeline.requests[0].ended_ms, 0);
    cr_expect_lt(timeline.requests[CALLS - 1].accepted_ms, 0);
    timeline_finish(&timeline);
    finish();
}

/* A sleep is a wait, and a wait of that length. */
Test(picture, shows_a_sleep)
{
    struct subject_plan plan = plan_for("sleep", "serial");
    struct load_call one = { .called_ns = now_ns() };
    plan.arguments[0] = "--trace=100";
    start_plan(&plan);
    int fd = dial(address);
    say(fd, "30\n", 3);
    hear(fd, "slept 30 ms\n", 12);
    one.ended_ns = now_ns();
    one.port = port_of(fd);
    one.answered = true;
    cr_assert_eq(draw(&one, 1, &timeline), 0);
    const struct timeline_request *request = &timeline.requests[0];
    double longest_ms = 0;
    for (unsigned i = 0; i < request->n_waits; i++)
        longest_ms = fmax(longest_ms, request->waits[i].to_ms - request->waits[i].from_ms);
    cr_expect_geq(longest_ms, 30);
    cr_expect_lt(request->ended_ms, 0, "it still listens to its caller");
    close(fd);
    timeline_finish(&timeline);
    finish();
}
