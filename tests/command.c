/* What the command says and does when something is wrong, and its plugins. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <switchboard/switchboard.h>
#include <time.h>
#include <unistd.h>

#include "served.h"

TestSuite(command, .timeout = 600, .fini = served_kill_all);

static char text[8192];

#define FAILS(status, ...)                                                                                 \
    cr_expect_eq(served_fails((const char *const[]){ __VA_ARGS__, NULL }, text, sizeof text), status, "%s", text)

#define SAYS(phrase) cr_expect_not_null(strstr(text, phrase), "it says '%s'", text)

/* One sentence: a line. */
static void expect_one_line(void)
{
    cr_expect_eq(strchr(text, '\n'), text + strlen(text) - 1, "more than one line: %s", text);
}

static const char *plugin(const char *name)
{
    const char *path = getenv(name);
    cr_assert_not_null(path);
    return path;
}

/* --- addresses ---------------------------------------------------------------------------------------------------- */

Test(command, a_taken_port_is_said_and_the_first_server_goes_on)
{
    struct served served = served_start((const char *const[]){ "upper", "tcp://127.0.0.1:0", NULL });
    FAILS(1, "upper", served.address);
    SAYS("Address already in use");
    SAYS("choose another");
    expect_one_line();
    int fd = dial(served.address);
    say(fd, "a", 1);
    hear(fd, "A", 1);
    close(fd);
    cr_expect_eq(served_end(&served, SIGTERM), 0);
}

Test(command, wrong_addresses_are_said)
{
    FAILS(2, "upper", "tcp://127.0.0.1:70000");
    SAYS("at most 65535");
    expect_one_line();
    FAILS(1, "upper", "tcp://no.such.host.invalid:80");
    cr_expect(strstr(text, "does not resolve") || strstr(text, "does not answer"), "%s", text);
    FAILS(1, "upper", "tcp://192.0.2.1:0");
    SAYS("no interface of this machine");
    FAILS(1, "upper", "unix:/nonexistent/folder/socket");
    SAYS("folder of the path does not exist");
}

Test(command, a_privileged_port_is_said)
{
    if (getuid() == 0)
        cr_skip_test("root may bind any port");
    FAILS(1, "upper", "tcp://127.0.0.1:80");
    SAYS("Permission denied");
}

static char folder[] = "/tmp/switchboard.XXXXXX";
static char path[64], address[80];

static void make_path(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/socket", folder);
    snprintf(address, sizeof address, "unix:%s", path);
}

Test(command, a_stale_socket_file_is_replaced)
{
    make_path();
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    strcpy(name.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
    close(fd);
    struct served served = served_start((const char *const[]){ "upper", address, NULL });
    FAILS(1, "upper", address);
    SAYS("Address already in use");
    fd = dial(address);
    close(fd);
    cr_expect_eq(served_end(&served, SIGTERM), 0);
    cr_expect_lt(access(path, F_OK), 0, "the path is removed");
    rmdir(folder);
}

Test(command, a_regular_file_is_never_removed)
{
    make_path();
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    cr_assert_eq(write(fd, "mine", 4), 4);
    close(fd);
    FAILS(1, "upper", address);
    SAYS("not a socket");
    struct stat status;
    cr_expect(stat(path, &status) == 0 && status.st_size == 4);
    unlink(path);
    rmdir(folder);
}

Test(command, a_failing_second_address_takes_nothing_with_it)
{
    make_path();
    FAILS(2, "upper", address, "tcp://127.0.0.1:70000");
    cr_expect_lt(access(path, F_OK), 0, "the first address is undone");
    rmdir(folder);
}

/* --- words -------------------------------------------------------------------------------------------------------- */

Test(command, misuse_is_status_two)
{
    FAILS(2, "--nonsense", "upper");
    FAILS(2, "-q");
    SAYS("the handler is missing");
    FAILS(2, "upper", "--backlog=x");
    SAYS("whole number");
    FAILS(2, "upper", "--max-connections=0");
    FAILS(2, "upper", "--idle-timeout=-1");
    FAILS(2, "upper", "--trace=1000001");
    FAILS(2, "upper", "--accept=perhaps");
    SAYS("shared, mutex, flock, pass or reuseport");
    FAILS(2, "upper", "-s", "pool:2+pool:3");
    SAYS("a strategy stands in it twice");
    FAILS(2, "upper", "-s", "prefork:0");
    SAYS("from 1 to");
    FAILS(2, "upper", "--once", "-s", "prefork", "-a", "reuseport");
    SAYS("wait at the wrong one");
    FAILS(2, "auth+upper");
    SAYS("there is no key");
}

/* What the command line says is good, but the machine is not as it says. */
Test(command, what_is_not_there_is_status_one)
{
    FAILS(1, "./nosuch.so");
    FAILS(1, "upper", "-s", "./nosuch.so");
    FAILS(1, "auth+upper", "-o", "key-file=/nonexistent");
    FAILS(1, "auth+upper", "-o", "key-env=SWITCHBOARD_NO_SUCH");
}

Test(command, unknown_names_are_said)
{
    FAILS(2, "nosuch");
    SAYS("there is no handler 'nosuch'");
    expect_one_line();
    FAILS(2, "upper", "-s", "nosuch");
    SAYS("there is no strategy 'nosuch'");
    expect_one_line();
    FAILS(2, "upper", "-o", "nosuch=1");
    SAYS("has no option 'nosuch'");
    FAILS(2, "sleep", "-o", "ms=soon");
    SAYS("whole number");
    FAILS(1, "upper", "--user=no-such-user");
    SAYS("there is no user");
    FAILS(1, "upper", "--group=no-such-group");
    SAYS("there is no group");
}

Test(command, a_discipline_that_does_not_fit_is_refused)
{
    FAILS(2, "upper", "-a", "mutex", "tcp://127.0.0.1:0");
    SAYS("needs workers that share a listener");
    FAILS(2, "upper", "-a", "flock", "-s", "prefork:2+fork", "tcp://127.0.0.1:0");
    SAYS("could not wait for its children");
    FAILS(2, "upper", "-s", "prefork", "-a", "pass", "udp://127.0.0.1:0");
    SAYS("hands over connections");
    FAILS(2, "upper", "-s", "prefork", "-a", "reuseport", "unix:@switchboard-test-reuseport");
    SAYS("reuseport is for tcp and udp");
}

/* --- plugins ------------------------------------------------------------------------------------------------------ */

Test(command, bad_plugins_are_refused_with_the_reason)
{
    FAILS(1, plugin("PLUGIN_NOSYMBOL"));
    SAYS("exports no sb_handler");
    FAILS(1, plugin("PLUGIN_OLDABI"));
    SAYS("ABI version 0");
    FAILS(1, plugin("PLUGIN_SMALL"));
    SAYS("older headers");
    FAILS(1, plugin("PLUGIN_NOHANDLE"));
    SAYS("neither setup, handle nor finish");
    FAILS(1, "/etc/passwd");
    SAYS("not a loadable plugin");
    FAILS(1, "./no/such/plugin.so");
    SAYS("No such file");
    expect_one_line();
    FAILS(2, plugin("PLUGIN_DOORMAN"));
    SAYS("doorman+upper");
    FAILS(1, "upper", "-s", plugin("PLUGIN_GREETER"));
    SAYS("exports no sb_plugin_class");
}

Test(command, a_handler_is_refused_where_it_does_not_suit_unless_forced)
{
    const char *tally = plugin("PLUGIN_TALLY");
    FAILS(2, tally, "-s", "thread");
    SAYS("not thread-safe");
    SAYS("--force");
    FAILS(2, tally, "-s", "prefork");
    SAYS("keeps state");
    FAILS(2, tally, "-s", "fork");
    SAYS("keeps state");
    FAILS(2, "count", "udp://127.0.0.1:0");
    SAYS("needs a connection");
    struct served served = served_start((const char *const[]){ tally, "-s", "fork", "--force", "tcp://127.0.0.1:0",
                                                               NULL });
    for (int i = 0; i < 2; i++) {
        int fd = dial(served.address);
        hear(fd, "1\n", 2);
        close(fd);
    }
    cr_expect_eq(served_end(&served, SIGTERM), 0);
    served = served_start((const char *const[]){ tally, "-s", "serial", "tcp://127.0.0.1:0", NULL });
    for (int i = 1; i <= 2; i++) {
        char expected[] = { '0' + i, '\n' };
        int fd = dial(served.address);
        hear(fd, expected, 2);
        close(fd);
    }
    cr_expect_eq(served_end(&served, SIGTERM), 0);
}

static void expect_counts(const char *strategy, const char *more, const char *const counts[3])
{
    struct served served = served_start((const char *const[]){ "visits", "-s", strategy, "tcp://127.0.0.1:0", more,
                                                               NULL });
    for (int i = 0; i < 3; i++) {
        int fd = dial(served.address);
        say(fd, "a\nb\n", 4);
        hear(fd, counts[i], strlen(counts[i]));
        close(fd);
    }
    cr_expect_eq(served_end(&served, SIGTERM), 0);
}

Test(command, visits_counts_together_in_threads_and_apart_in_processes)
{
    static const char *const shared[] = { "serial", "thread", "pool:3", "prethread:3", "fiber:epoll" };
    for (size_t i = 0; i < sizeof shared / sizeof *shared; i++)
        expect_counts(shared[i], NULL, (const char *const[]){ "1\n2\n", "3\n4\n", "5\n6\n" });
    FAILS(2, "visits", "-s", "prefork");
    SAYS("keeps state");
    FAILS(2, "visits", "-s", "fork");
    SAYS("keeps state");
    expect_counts("fork", "--force", (const char *const[]){ "1\n2\n", "1\n2\n", "1\n2\n" });
}

Test(command, handlers_compose)
{
    char list[512];
    snprintf(list, sizeof list, "%s+bytes", plugin("PLUGIN_DOORMAN"));
    FAILS(2, list, "-o", "max=5", "tcp://127.0.0.1:0");
    SAYS("write doorman.max or bytes.max");
    struct served served = served_start((const char *const[]){ list, "tcp://127.0.0.1:0", "-o", "word=please", "-o",
                                                               "bytes.max=100", NULL });
    int fd = dial(served.address);
    say(fd, "please\n3\n", 9);
    shutdown(fd, SHUT_WR);
    char heard[64] = "";
    size_t length = 0;
    for (ssize_t n; (n = recv(fd, heard + length, sizeof heard - 1 - length, 0)) > 0;)
        length += n;
    cr_expect_eq(length, 3 + strlen("goodbye 1\n"));
    cr_expect_str_eq(heard + 3, "goodbye 1\n");
    close(fd);
    fd = dial(served.address);
    say(fd, "now\n", 4);
    hear_end(fd);
    close(fd);
    served_says(&served, "setup: Permission denied");
    cr_expect_eq(served_end(&served, SIGTERM), 0);
}

Test(command, a_plugin_can_bring_a_strategy)
{
    char list[512];
    snprintf(list, sizeof list, "%s:2+thread", plugin("PLUGIN_GATE"));
    struct served served = served_start((const char *const[]){ "upper", "-s", list, "tcp://127.0.0.1:0", NULL });
    for (int i = 0; i < 2; i++) {
        int fd = dial(served.address);
        hear_end(fd);
        close(fd);
        fd = dial(served.address);
        say(fd, "a", 1);
        hear(fd, "A", 1);
        close(fd);
    }
    cr_expect_eq(served_end(&served, SIGTERM), 0);
}

/* Beside those that keep something for each request themselves. */
Test(command, a_strategy_from_a_plugin_keeps_something_for_each_request)
{
    static const char *const behind[] = { "serial", "thread", "fiber:epoll", "fiber:uring", "prefork:1+fiber" };
    for (int i = 0; i < 5; i++) {
        char list[512], line[64];
        snprintf(list, sizeof list, i == 0 ? "%s" : "%s+%s", plugin("PLUGIN_STAMP"), behind[i]);
        struct served served = served_start((const char *const[]){ "upper", "-s", list, "tcp://127.0.0.1:0",
                                                                   NULL });
        for (int number = 1; number <= 5; number++) {
            int fd = dial(served.address);
            say(fd, "a", 1);
            hear(fd, "A", 1);
            close(fd);
            snprintf(line, sizeof line, "stamp: request %d is whole", number);
            served_says(&served, line);
        }
        cr_expect_eq(served_end(&served, SIGTERM), 0);
        cr_expect_null(strstr(served.log, "not zeroed"), "%s: %s", list, served.log);
    }
}

Test(command, handlers_are_found_on_switchboard_path)
{
    setenv("SWITCHBOARD_PATH", getenv("PLUGINS"), 1);
    struct served served = served_start((const char *const[]){ "greeter", "tcp://127.0.0.1:0", NULL });
    cr_expect_eq(served_end(&served, SIGTERM), 0);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

Test(command, once_serves_one_request)
{
    struct served served = served_start((const char *const[]){ "upper", "--once", "tcp://127.0.0.1:0", NULL });
    int fd = dial(served.address);
    say(fd, "a", 1);
    hear(fd, "A", 1);
    close(fd);
    cr_expect_eq(served_end(&served, 0), 0);
    FAILS(1, "upper", "--once", "--timeout=0", "tcp://127.0.0.1:0");
    SAYS("no request came");
}

Test(command, a_second_signal_ends_it_at_once)
{
    static const char *const strategies[] = { "serial", "thread", "prefork:2" };
    for (int i = 0; i < 3; i++) {
        struct served served = served_start((const char *const[]){ "upper", "tcp://127.0.0.1:0", "-s", strategies[i],
                                                                   "--drain-timeout=1000", NULL });
        int fd = dial(served.address);
        say(fd, "a", 1);
        hear(fd, "A", 1);
        kill(served.pid, SIGTERM);
        if (strcmp(strategies[i], "thread") == 0)
            served_says(&served, "waiting up to");
        int status;
        do {
            kill(served.pid, SIGTERM);
            status = waitpid(served.pid, NULL, WNOHANG);
        } while (status == 0);
        hear_end(fd);
        close(fd);
        close(served.out);
        close(served.err);
        rmdir(served.folder);
    }
}

Test(command, restarts_on_a_port_in_time_wait)
{
    struct served served = served_start((const char *const[]){ "upper", "tcp://127.0.0.1:0", NULL });
    char same[160];
    strcpy(same, served.address);
    int fd = dial(same);
    say(fd, "a", 1);
    hear(fd, "A", 1);
    kill(served.pid, SIGTERM);
    shutdown(fd, SHUT_WR);
    hear_end(fd);
    cr_expect_eq(served_end(&served, 0), 0);
    close(fd);
    served = served_start((const char *const[]){ "upper", same, NULL });
    cr_expect_str_eq(served.address, same);
    cr_expect_eq(served_end(&served, SIGTERM), 0);
}

Test(command, becomes_another_user_once_it_is_bound)
{
    if (getuid() != 0)
        cr_skip_test("only root can");
    struct served served = served_start((const char *const[]){ "upper", "-s", "prefork:1", "--user=nobody",
                                                               "tcp://127.0.0.1:0", NULL });
    char file[32], line[128];
    struct passwd *nobody = getpwnam("nobody");
    unsigned real = 0, effective = 0;
    snprintf(file, sizeof file, "/proc/%d/status", (int)served.serving);
    FILE *status = fopen(file, "re");
    while (status && fgets(line, sizeof line, status))
        if (sscanf(line, "Uid: %u %u", &real, &effective) == 2)
            break;
    fclose(status);
    cr_expect_eq(real, nobody->pw_uid);
    cr_expect_eq(effective, nobody->pw_uid);
    int fd = dial(served.address);
    say(fd, "a", 1);
    hear(fd, "A", 1);
    close(fd);
    cr_expect_eq(served_end(&served, SIGINT), 0);
}

Test(command, verbose_prints_accept_receive_and_close_with_the_peer)
{
    struct served served = served_start((const char *const[]){ "upper", "-v", "tcp://127.0.0.1:0", NULL });
    int fd = dial(served.address);
    say(fd, "hello", 5);
    hear(fd, "HELLO", 5);
    close(fd);
    served_says(&served, "Close connection from: 127.0.0.1:");
    cr_expect_eq(served_end(&served, SIGTERM), 0);
}

Test(command, verbose_prints_process_and_user_of_a_unix_caller)
{
    char name[96];
    struct served served = served_start((const char *const[]){ "upper", "-v", "unix:SOCKET", NULL });
    int fd = dial(served.address);
    say(fd, "hello", 5);
    hear(fd, "HELLO", 5);
    close(fd);
    snprintf(name, sizeof name, "Accept connection from: pid %d uid %u", (int)getpid(), getuid());
    served_says(&served, name);
    snprintf(name, sizeof name, "Close connection from: pid %d uid %u", (int)getpid(), getuid());
    served_says(&served, name);
    cr_expect_eq(served_end(&served, SIGTERM), 0);
}

/* --- shortage ----------------------------------------------------------------------------------------------------- */

Test(command, running_out_of_descriptors_is_said_once_and_recovers)
{
    struct served served = served_start((const char *const[]){ "upper", "-s", "thread", "tcp://127.0.0.1:0", NULL });
    int used = count_descriptors(served.serving), fds[6];
    struct rlimit limit = { used + 3, used + 3 };
    cr_assert_eq(prlimit(served.serving, RLIMIT_NOFILE, &limit, NULL), 0);
    for (int i = 0; i < 6; i++) {
        fds[i] = dial(served.address);
        say(fds[i], "a", 1);
    }
    served_says(&served, "cannot accept: Too many open files");
    for (int i = 0; i < 6; i++) {
        hear(fds[i], "A", 1);
        close(fds[i]);
    }
    served_says(&served, "the shortage is over");
    cr_expect_eq(served_end(&served, SIGTERM), 0);
}

/* Some callers lose their connection while nobody can be started for them; then all is well again. */
Test(command, a_worker_that_cannot_be_started_is_said_once_and_costs_no_more_than_its_caller)
{
    static const char *const strategies[] = { "thread", "fork", "pool:2", "prefork:2+thread" };
    if (!getenv("FAULTS_CAN_BE_PRELOADED"))
        cr_skip_test("a sanitizer wants to be loaded first");
    for (int s = 0; s < 4; s++) {
        setenv("LD_PRELOAD", getenv("PLUGIN_FAULTS"), 1);
        setenv("FAULTS", "3", 1);
        struct served served = served_start((const char *const[]){ "upper", "-s", strategies[s], "tcp://127.0.0.1:0",
                                                                   NULL });
        unsetenv("LD_PRELOAD");
        int answered = 0;
        for (int i = 0; i < 20; i++) {
            char byte;
            int fd = dial(served.address);
            say(fd, "a", 1);
            answered += recv(fd, &byte, 1, 0) == 1;
            close(fd);
        }
        cr_expect_geq(answered, 12, "%s: %d of 20", strategies[s], answered);
        served_says(&served, "cannot start");
        served_says(&served, "the shortage is over");
        cr_expect_eq(served_end(&served, SIGTERM), 0);
    }
}

Test(command, a_small_queue_behind_many_loops_holds)
{
    struct served served = served_start((const char *const[]){ "upper", "-s", "prethread:8+pool:1", "-a", "reuseport",
                                                               "--queue=1", "tcp://127.0.0.1:0", NULL });
    int fds[40];
    for (int i = 0; i < 40; i++) {
        fds[i] = dial(served.address);
        say(fds[i], "a", 1);
        shutdown(fds[i], SHUT_WR);
    }
    for (int i = 0; i < 40; i++) {
        hear(fds[i], "A", 1);
        close(fds[i]);
    }
    cr_expect_eq(served_end(&served, SIGTERM), 0);
}

/* --- supervision -------------------------------------------------------------------------------------------------- */

Test(command, a_crashed_worker_is_named_and_replaced)
{
    struct served served = served_start((const char *const[]){ "crash", "-s", "prefork:1", "tcp://127.0.0.1:0", NULL });
    for (int i = 0; i < 3; i++) {
        int fd = dial(served.address);
        say(fd, "abort\n", 6);
        served_says(&served, "was killed by signal 6 (Aborted) in handler crash while serving 127.0.0.1:");
        close(fd);
    }
    int fd = dial(served.address);
    say(fd, "exit\n", 5);
    served_says(&served, "exited with status 3 in handler crash");
    close(fd);
    cr_expect_eq(served_end(&served, SIGTERM), 0);
}

Test(command, a_worker_is_recycled_after_max_requests_without_losing_a_connection)
{
    static const char *const strategies[] = { "prefork:2", "prefork:1+thread", "prefork:1+prethread:2" };
    for (int s = 0; s < 3; s++) {
        struct served served = served_start((const char *const[]){ "upper", "-s", strategies[s], "--max-requests=2",
                                                                   "tcp://127.0.0.1:0", NULL });
        int persistent = dial(served.address);
        say(persistent, "a", 1);
        hear(persistent, "A", 1);
        for (int i = 0; i < 30; i++) {
            int fd = dial(served.address);
            say(fd, "b", 1);
            hear(fd, "B", 1);
            close(fd);
        }
        say(persistent, "c", 1);
        hear(persistent, "C", 1);
        close(persistent);
        cr_expect_eq(served_end(&served, SIGTERM), 0);
    }
}

/* More callers than the channel holds, and the only worker dies with it full. */
Test(command, a_full_channel_does_not_keep_a_dead_worker_from_being_replaced)
{
    struct served served = served_start((const char *const[]){ "crash", "-s", "prefork:1", "-a", "pass",
                                                               "tcp://127.0.0.1:0", NULL });
    int fds[60];
    fds[0] = dial(served.address);
    for (int i = 1; i < 60; i++) {
        fds[i] = dial(served.address);
        say(fds[i], "hello\n", 6);
        shutdown(fds[i], SHUT_WR);
    }
    say(fds[0], "segfault\n", 9);
    for (int i = 1; i < 60; i++) {
        hear(fds[i], "HELLO\n", 6);
        close(fds[i]);
    }
    close(fds[0]);
    cr_expect_eq(served_end(&served, SIGTERM), 0);
}

/* A worker that dies with the accept lock in its hand does not stop the others. */
Test(command, a_dead_lock_holder_does_not_stop_the_others)
{
    static const char *const disciplines[] = { "mutex", "flock" };
    for (int d = 0; d < 2; d++) {
        struct served served = served_start((const char *const[]){ "upper", "-s", "prefork:3", "-a", disciplines[d],
                                                                   "tcp://127.0.0.1:0", NULL });
        const struct sb_scoreboard *board;
        cr_assert_eq(sb_scoreboard_open(served.pid, &board), 0);
        for (int round = 0; round < 3; round++) {
            for (unsigned i = 0; i < board->slot_count; i++) {
                const struct sb_slot *slot = sb_scoreboard_slot(board, i);
                if (slot->state == SB_WAITING)
                    kill(slot->pid, SIGKILL);
            }
            int fd = dial(served.address);
            say(fd, "a", 1);
            hear(fd, "A", 1);
            close(fd);
        }
        sb_scoreboard_close(board);
        cr_expect_eq(served_end(&served, SIGTERM), 0);
    }
}

/* --- the scoreboard ----------------------------------------------------------------------------------------------- */

static const struct sb_slot *find_sleeper(const struct sb_scoreboard *board)
{
    for (unsigned i = 0; i < board->slot_count; i++)
        if (__atomic_load_n(&sb_scoreboard_slot(board, i)->state, __ATOMIC_RELAXED) == SB_SLEEPING)
            return sb_scoreboard_slot(board, i);
    return NULL;
}

Test(command, a_sleeping_handler_is_seen_and_traced)
{
    struct served served = served_start((const char *const[]){ "sleep", "--trace=100", "--drain-timeout=0",
                                                               "tcp://127.0.0.1:0", NULL });
    const struct timespec pause = { .tv_nsec = 1000000 };
    const struct sb_scoreboard *board;
    const struct sb_slot *sleeper;
    struct sb_address peer;
    unsigned count;
    cr_assert_eq(sb_scoreboard_open(served.pid, &board), 0);
    int fd = dial(served.address);
    say(fd, "60000\n", 6);
    for (int i = 0; !(sleeper = find_sleeper(board)) && i < DEADLINE_MS; i++)
        nanosleep(&pause, NULL);
    cr_assert_not_null(sleeper, "nobody sleeps");
    cr_expect_eq(sb_scoreboard_totals(board).busy, 1);
    cr_assert(sb_slot_peer(sleeper, &peer));
    struct sb_trace_event events[100];
    count = sb_trace_read(&(struct sb_trace_reader){ .board = board }, events, 100);
    cr_assert_gt(count, 0);
    cr_expect_eq(events[count - 1].state, SB_SLEEPING);
    cr_expect_eq(events[count - 1].port, ntohs(peer.in.sin_port));
    cr_expect_eq(sb_scoreboard_slot(board, events[count - 1].slot), sleeper);
    sb_scoreboard_close(board);
    close(fd);
    cr_expect_eq(served_end(&served, SIGTERM), 0);
}

/* What `switchboard status` says, once a handler sleeps. */
static void read_status(const struct served *served, char *said, size_t size)
{
    const struct timespec pause = { .tv_nsec = 1000000 };
    const struct sb_scoreboard *board;
    char line[256];
    cr_assert_eq(sb_scoreboard_open(served->pid, &board), 0);
    for (int i = 0; !find_sleeper(board) && i < DEADLINE_MS; i++)
        nanosleep(&pause, NULL);
    sb_scoreboard_close(board);
    snprintf(line, sizeof line, "%s status %d", getenv("SWITCHBOARD"), (int)served->pid);
    FILE *status = popen(line, "re");
    cr_assert_not_null(status);
    size_t length = fread(said, 1, size - 1, status);
    said[length] = '\0';
    cr_expect_eq(pclose(status), 0);
}

static void expect_in_status(int fd, const struct served *served, const char *name)
{
    say(fd, "60000\n", 6);
    read_status(served, text, sizeof text);
    cr_expect_not_null(strstr(text, name), "no '%s' in\n%s", name, text);
    close(fd);
}

static struct served serve_sleep(void)
{
    return served_start((const char *const[]){ "sleep", "-s", "serial", "--drain-timeout=0", "unix:SOCKET", NULL });
}

Test(command, status_names_process_and_user_of_a_unix_caller)
{
    char name[128];
    const struct passwd *user = getpwuid(getuid());
    struct served served = serve_sleep();
    snprintf(name, sizeof name, user ? "  pid %d uid %u (%s)\n" : "  pid %d uid %u\n", (int)getpid(), getuid(),
             user ? user->pw_name : "");
    expect_in_status(dial(served.address), &served, name);
    cr_expect_eq(served_end(&served, SIGTERM), 0);
}

/* One that is too long for the board ends with dots, and none has control characters. */
Test(command, status_shows_the_path_of_a_unix_caller)
{
    static const struct { const char *name, *shown; } callers[] = {
        { "short\x1b[31m", "short.[31m\n" },
        { "a-path-that-is-longer-than-a-slot-has-room-for-at-its-end", "...\n" },
    };
    for (int i = 0; i < 2; i++) {
        struct sb_address server;
        struct sockaddr_un own = { .sun_family = AF_UNIX };
        struct served served = serve_sleep();
        snprintf(own.sun_path, sizeof own.sun_path, "%s/%s", served.folder, callers[i].name);
        cr_assert_eq(sb_address_parse(served.address, NULL, &server, NULL), 0);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        cr_assert_eq(bind(fd, (struct sockaddr *)&own, sizeof own), 0);
        cr_assert_eq(connect(fd, &server.sa, server.size), 0);
        expect_in_status(fd, &served, callers[i].shown);
        cr_expect_not_null(strstr(text, served.folder), "%s", text);
        unlink(own.sun_path);
        cr_expect_eq(served_end(&served, SIGTERM), 0);
    }
}

Test(command, nothing_is_traced_unless_asked_for)
{
    struct served served = served_start((const char *const[]){ "upper", "tcp://127.0.0.1:0", NULL });
    const struct sb_scoreboard *board;
    struct sb_trace_event event;
    int fd = dial(served.address);
    say(fd, "a", 1);
    hear(fd, "A", 1);
    close(fd);
    cr_assert_eq(sb_scoreboard_open(served.pid, &board), 0);
    cr_expect_eq(sb_trace_read(&(struct sb_trace_reader){ .board = board }, &event, 1), 0);
    sb_scoreboard_close(board);
    cr_expect_eq(served_end(&served, SIGTERM), 0);
}
