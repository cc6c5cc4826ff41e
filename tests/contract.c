/* The contract: every promise x every design x every family, through the real command. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <switchboard/switchboard.h>
#include <unistd.h>

#include "designs.h"
#include "served.h"

TestSuite(contract, .timeout = 600, .fini = served_kill_all);

/* --- settings ----------------------------------------------------------------------------------------------------- */

/* With AddressSanitizer, where all takes longer: of the compositions only those whose workers are handed their
 * connections or have listeners of their own. At a shared listener the inner strategy does what it does alone. */
static bool is_worth_it(const struct design *design)
{
#ifdef __SANITIZE_ADDRESS__
    return !strchr(design->strategy, '+') || strcmp(design->accept, "pass") == 0 ||
           strcmp(design->accept, "reuseport") == 0;
#else
    (void)design;
    return true;
#endif
}

static struct criterion_test_params settings(bool (*wanted)(const struct design *, const char *))
{
    struct setting *list = cr_calloc(DESIGNS * FAMILIES, sizeof *list);
    size_t count = 0;
    for (int d = 0; d < DESIGNS; d++)
        for (int f = 0; f < FAMILIES; f++) {
            if (!fits(&designs[d], families[f]) || (wanted && !wanted(&designs[d], families[f])) ||
                !is_worth_it(&designs[d]))
                continue;
            list[count].design = designs[d];
            strcpy(list[count++].family, families[f]);
        }
    return cr_make_param_array(struct setting, list, count);
}

static bool streams(const struct design *design, const char *family)
{
    (void)design;
    return is_stream(family);
}

static bool concurrent_streams(const struct design *design, const char *family)
{
    return design->at_once > 1 && is_stream(family);
}

static bool surviving_streams(const struct design *design, const char *family)
{
    return design->survives && is_stream(family);
}

#define PROMISE(name, wanted)                                                                              \
    static void check_##name(const struct setting *setting);                                               \
    ParameterizedTestParameters(contract, name)                                                            \
    {                                                                                                      \
        return settings(wanted);                                                                           \
    }                                                                                                      \
    ParameterizedTest(struct setting *setting, contract, name)                                             \
    {                                                                                                      \
        cr_log_info("%s %s %s", setting->design.strategy, setting->design.accept, setting->family);        \
        check_##name(setting);                                                                             \
    }                                                                                                      \
    static void check_##name(const struct setting *setting)

static const char *address_for(const char *family)
{
    if (strcmp(family, "tcp") == 0)
        return "tcp://127.0.0.1:0";
    if (strcmp(family, "udp") == 0)
        return "udp://127.0.0.1:0";
    return strcmp(family, "unix") == 0 ? "unix:SOCKET" : "unixgram:SOCKET";
}

static struct served start(const struct setting *setting, const char *handler, const char *more)
{
    const char *arguments[] = { handler, address_for(setting->family), "-s", setting->design.strategy, "-a",
                                setting->design.accept, more, NULL };
    return served_start(arguments);
}

static void expect_clean_end(struct served *served)
{
    cr_assert_eq(served_end(served, SIGTERM), 0);
}

static void exchange(int fd, const char *question, const char *answer)
{
    say(fd, question, strlen(question));
    hear(fd, answer, strlen(answer));
}

/* One caller's whole visit. */
static void visit(const char *address)
{
    int fd = dial(address);
    exchange(fd, "hello", "HELLO");
    close(fd);
}

/* Waits for something that another process does; a deadline, and no sleep. */
static void await(bool (*reached)(const void *), const void *argument)
{
    struct timespec pause = { .tv_nsec = 1000000 };
    for (int i = 0; i < DEADLINE_MS; i++) {
        if (reached(argument))
            return;
        nanosleep(&pause, NULL);
    }
    cr_assert_fail("it did not happen in time");
}

/* --- answering ---------------------------------------------------------------------------------------------------- */

PROMISE(answers_a_caller_and_ends_cleanly, NULL)
{
    struct served served = start(setting, "upper", NULL);
    visit(served.address);
    expect_clean_end(&served);
}

PROMISE(answers_an_empty_datagram_and_twenty_callers_in_a_row, NULL)
{
    struct served served = start(setting, "upper", NULL);
    for (int i = 0; i < 20; i++)
        visit(served.address);
    if (!is_stream(setting->family)) {
        int fd = dial(served.address);
        char byte;
        say(fd, "", 0);
        cr_assert_eq(recv(fd, &byte, 1, 0), 0);
        close(fd);
    }
    expect_clean_end(&served);
}

PROMISE(keeps_a_talk_going, streams)
{
    struct served served = start(setting, "upper", NULL);
    int fd = dial(served.address);
    for (int i = 0; i < 10; i++)
        exchange(fd, "hello", "HELLO");
    close(fd);
    expect_clean_end(&served);
}

PROMISE(serves_three_slow_callers_at_once, concurrent_streams)
{
    struct served served = start(setting, "upper", NULL);
    int fds[3];
    for (int i = 0; i < 3; i++) {
        fds[i] = dial(served.address);
        exchange(fds[i], "a", "A");
    }
    for (int i = 0; i < 3; i++) {
        exchange(fds[i], "b", "B");
        close(fds[i]);
    }
    expect_clean_end(&served);
}

PROMISE(answers_who_has_shut_down_its_writing_half, streams)
{
    struct served served = start(setting, "upper", NULL);
    int fd = dial(served.address);
    say(fd, "last words", 10);
    shutdown(fd, SHUT_WR);
    hear(fd, "LAST WORDS", 10);
    hear_end(fd);
    close(fd);
    expect_clean_end(&served);
}

PROMISE(survives_callers_that_vanish, streams)
{
    struct served served = start(setting, "upper", NULL);
    for (int i = 0; i < 5; i++) {
        int fd = dial(served.address);
        exchange(fd, "a", "A");
        say(fd, "b", 1);
        hang_up(fd);
    }
    visit(served.address);
    expect_clean_end(&served);
}

PROMISE(sends_a_megabyte_whole, streams)
{
    enum { SIZE = 1 << 20 };
    struct served served = start(setting, "bytes", NULL);
    int fd = dial(served.address);
    char *heard = malloc(SIZE);
    say(fd, "1048576\n", 8);
    size_t length = 0;
    for (ssize_t n; length < SIZE && (n = recv(fd, heard, SIZE - length, 0)) > 0;)
        length += n;
    cr_assert_eq(length, SIZE);
    free(heard);
    close(fd);
    expect_clean_end(&served);
}

/* Closing a socket that has unread input sends a reset, which would destroy this reply. */
PROMISE(unread_input_does_not_destroy_the_reply, streams)
{
    enum { SIZE = 65536 };
    struct served served = start(setting, getenv("PLUGIN_GREETER"), NULL);
    int fd = dial(served.address);
    char *data = calloc(1, SIZE);
    size_t length = 0;
    say(fd, data, 30000);
    for (ssize_t n; (n = recv(fd, data, SIZE, 0)) > 0;)
        length += n;
    cr_assert_eq(length, SIZE);
    free(data);
    close(fd);
    expect_clean_end(&served);
}

/* --- names -------------------------------------------------------------------------------------------------------- */

static bool internet(const struct design *design, const char *family)
{
    (void)design;
    return strncmp(family, "unix", 4) != 0;
}

/* Calls the port of that server at one of its addresses, and hears what it calls the caller. */
static void expect_name(const struct served *served, const char *family, const char *host)
{
    char address[64], own[SB_ADDRESS_TEXT_SIZE], heard[256] = "", local[64];
    struct sb_address name = { .size = sizeof name.in6 };
    snprintf(address, sizeof address, "%s://%s:%s", family, host, strrchr(served->address, ':') + 1);
    int fd = dial(address);
    cr_assert_eq(getsockname(fd, &name.sa, &name.size), 0);
    sb_address_format_peer(&name, own);
    say(fd, "?", 1);
    ssize_t n = recv(fd, heard, sizeof heard - 1, 0);
    cr_assert_gt(n, 0);
    cr_expect(strncmp(heard, own, strlen(own)) == 0 && heard[strlen(own)] == ' ', "%s, not %s", heard, own);
    cr_expect(!strstr(heard, "ffff") && strstr(heard, " same\n"), "%s", heard);
    snprintf(local, sizeof local, " %s ", strstr(address, "//") + 2);
    cr_expect(!is_stream(family) || strstr(heard, local), "%s, not at%s", heard, local);
    close(fd);
}

PROMISE(a_caller_over_ipv4_has_its_ipv4_name_at_an_ipv6_address, internet)
{
    char address[64];
    snprintf(address, sizeof address, "%s://[::]:0", setting->family);
    const char *arguments[] = { getenv("PLUGIN_WHO"), address, "-s", setting->design.strategy, "-a",
                                setting->design.accept, NULL };
    struct served served = served_start(arguments);
    expect_name(&served, setting->family, "127.0.0.1");
    expect_name(&served, setting->family, "[::1]");
    expect_clean_end(&served);
}

PROMISE(serves_at_all_addresses_of_a_name, internet)
{
    char address[64];
    if (!getenv("FAULTS_CAN_BE_PRELOADED"))
        cr_skip_test("a sanitizer wants to be loaded first");
    setenv("LD_PRELOAD", getenv("PLUGIN_NAMES"), 1);
    setenv("NAMES", "both.test=::1,127.0.0.1", 1);
    snprintf(address, sizeof address, "%s://both.test:0", setting->family);
    const char *arguments[] = { getenv("PLUGIN_WHO"), address, "-s", setting->design.strategy, "-a",
                                setting->design.accept, NULL };
    struct served served = served_start(arguments);
    unsetenv("LD_PRELOAD");
    expect_name(&served, setting->family, "[::1]");
    expect_name(&served, setting->family, "127.0.0.1");
    expect_clean_end(&served);
}

static bool unix_streams(const struct design *design, const char *family)
{
    (void)design;
    return strcmp(family, "unix") == 0;
}

static void expect_answer(int fd, const char *beginning)
{
    char heard[512] = "";
    say(fd, "?", 1);
    cr_assert_gt(recv(fd, heard, sizeof heard - 1, 0), 0);
    cr_expect_eq(strncmp(heard, beginning, strlen(beginning)), 0, "%s, not %s", heard, beginning);
    cr_expect_not_null(strstr(heard, " same\n"), "%s", heard);
    close(fd);
}

PROMISE(a_caller_of_a_unix_socket_is_a_process_and_a_user_or_its_path, unix_streams)
{
    char name[128];
    struct sb_address address;
    struct sockaddr_un own = { .sun_family = AF_UNIX };
    struct served served = start(setting, getenv("PLUGIN_WHO"), NULL);
    snprintf(name, sizeof name, "pid %d uid %u ", (int)getpid(), getuid());
    expect_answer(dial(served.address), name);
    snprintf(own.sun_path, sizeof own.sun_path, "%s/me", served.folder);
    cr_assert_eq(sb_address_parse(served.address, NULL, &address, NULL), 0);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&own, sizeof own), 0);
    cr_assert_eq(connect(fd, &address.sa, address.size), 0);
    snprintf(name, sizeof name, "%s ", own.sun_path);
    expect_answer(fd, name);
    unlink(own.sun_path);
    expect_clean_end(&served);
}

/* --- failing ------------------------------------------------------------------------------------------------------ */

/* One caller's order makes the handler fail, which the log says; the next caller is answered. */
static void expect_survival(const struct setting *setting, const char *order, const char *report)
{
    struct served served = start(setting, "crash", NULL);
    int fd = dial(served.address);
    say(fd, order, strlen(order));
    served_says(&served, report);
    close(fd);
    fd = dial(served.address);
    exchange(fd, "hello\n", "HELLO\n");
    close(fd);
    expect_clean_end(&served);
}

PROMISE(a_failing_handler_costs_its_own_request_only, NULL)
{
    expect_survival(setting, "error\n", "Exception occurred during processing of request from");
}

PROMISE(a_crashing_handler_costs_its_own_process_only, surviving_streams)
{
    expect_survival(setting, "segfault\n", "handler crash");
}

/* --- stopping ----------------------------------------------------------------------------------------------------- */

PROMISE(lets_a_running_talk_finish_after_a_stop, streams)
{
    struct served served = start(setting, "upper", NULL);
    int fd = dial(served.address);
    exchange(fd, "a", "A");
    kill(served.pid, SIGTERM);
    for (int i = 0; i < 3; i++)
        exchange(fd, "b", "B");
    close(fd);
    cr_assert_eq(served_end(&served, 0), 0);
}

/* As a terminal and a service manager send it. */
PROMISE(lets_a_running_talk_finish_when_its_whole_group_is_stopped, streams)
{
    struct served served = start(setting, "upper", NULL);
    int fd = dial(served.address);
    exchange(fd, "a", "A");
    kill(-served.pid, SIGTERM);
    exchange(fd, "b", "B");
    close(fd);
    cr_assert_eq(served_end(&served, 0), 0);
}

PROMISE(cuts_off_a_silent_caller_at_the_drain_deadline, streams)
{
    struct served served = start(setting, "upper", "--drain-timeout=0.1");
    int fd = dial(served.address);
    exchange(fd, "a", "A");
    expect_clean_end(&served);
    close(fd);
}

PROMISE(gives_up_a_silent_caller_after_the_idle_timeout, streams)
{
    struct served served = start(setting, "upper", "--idle-timeout=0.1");
    kill(-served.pid, SIGSTOP);     /* until it is said, so that we cannot be too slow */
    int fd = dial(served.address);
    say(fd, "a", 1);
    kill(-served.pid, SIGCONT);
    hear(fd, "A", 1);
    hear_end(fd);
    close(fd);
    expect_clean_end(&served);
}

PROMISE(a_sleeper_does_not_outlast_the_drain_deadline, streams)
{
    struct served served = start(setting, "sleep", "--drain-timeout=0.1");
    int fd = dial(served.address);
    say(fd, "1\n60000\n", 8);
    hear(fd, "slept 1 ms\n", 11);
    cr_expect_eq(served_end(&served, SIGTERM), 0);
    close(fd);
}

/* --- bounds and books --------------------------------------------------------------------------------------------- */

PROMISE(a_caller_above_the_limit_waits_and_is_served, concurrent_streams)
{
    struct served served = start(setting, "upper", "--max-connections=2");
    int first = dial(served.address), second = dial(served.address), third = dial(served.address);
    say(first, "a", 1);
    say(second, "b", 1);
    say(third, "c", 1);
    hear(first, "A", 1);
    close(first);
    hear(second, "B", 1);
    close(second);
    hear(third, "C", 1);
    close(third);
    expect_clean_end(&served);
}

static bool has_served_ten(const void *board)
{
    return sb_scoreboard_totals(board).served == 10;
}

PROMISE(counts_every_request_on_the_scoreboard, NULL)
{
    struct served served = start(setting, "upper", NULL);
    const struct sb_scoreboard *board;
    cr_assert_eq(sb_scoreboard_open(served.pid, &board), 0);
    for (int i = 0; i < 10; i++)
        visit(served.address);
    await(has_served_ten, board);
    cr_assert_eq(sb_scoreboard_totals(board).errors, 0);
    cr_assert_str_eq(board->handler, "upper");
    sb_scoreboard_close(board);
    expect_clean_end(&served);
}

struct census {
    pid_t pid;
    int descriptors, threads, children;
};

static struct census take_census(pid_t pid)
{
    return (struct census){ pid, count_descriptors(pid), count_threads(pid), count_children(pid) };
}

static bool grew(const struct census *before, const struct census *now)
{
    return now->descriptors > before->descriptors || now->threads > before->threads ||
           now->children > before->children;
}

/* What a server starts up with is no leak, so the first rounds may grow; a leak grows in each. */
PROMISE(leaves_no_descriptor_thread_or_child_behind, NULL)
{
    struct served served = start(setting, "upper", NULL);
    struct census before, now;
    int rounds = 0;
    do {
        cr_assert_lt(rounds++, 20, "it grows with every visit");
        before = take_census(served.serving);
        for (int i = 0; i < 30; i++)
            visit(served.address);
        now = take_census(served.serving);
    } while (grew(&before, &now));
    expect_clean_end(&served);
}
