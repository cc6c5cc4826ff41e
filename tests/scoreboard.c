/* The scoreboard and its trace: what a server tells about itself. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <switchboard/switchboard.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "designs.h"

TestSuite(scoreboard, .timeout = 600);

static enum sb_state seen_state;
static char seen_peer[28];

/* Looks at its own server from outside, while it handles. */
static int handle(struct sb_request *request)
{
    const struct sb_scoreboard *board;
    char byte;
    sb_recv(request, &byte, 1);
    int r = sb_scoreboard_open(getpid(), &board);
    if (r < 0)
        return r;
    for (unsigned i = 0; i < board->slot_count; i++) {
        const struct sb_slot *slot = sb_scoreboard_slot(board, i);
        if (slot->state != SB_FREE) {
            seen_state = slot->state;
            memcpy(seen_peer, slot->peer, sizeof seen_peer);
        }
    }
    sb_scoreboard_close(board);
    return byte == 'e' ? -EIO : 0;
}

static void quiet(void *data, enum sb_log_level level, const char *text)
{
    (void)data;
    (void)level;
    (void)text;
}

static void call(struct sb_server *server, char byte)
{
    struct sb_address address;
    cr_assert_eq(sb_address_parse(sb_server_address(server, 0), NULL, &address, NULL), 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(connect(fd, &address.sa, address.size), 0);
    cr_assert_eq(send(fd, &byte, 1, 0), 1);
    cr_assert_eq(sb_server_handle_request(server), 1);
    close(fd);
}

Test(scoreboard, is_readable_from_outside_and_counts)
{
    static const struct sb_handler handler = { .name = "looker", .handle = handle };
    struct sb_config config = SB_CONFIG_DEFAULTS;
    struct sb_server *server;
    config.log = quiet;
    cr_assert_eq(sb_server_create(sb_tcp_server, "127.0.0.1:0", SB_HANDLERS(&handler), &config, &server), 0);
    call(server, 'a');
    cr_expect_eq(seen_state, SB_HANDLING);
    cr_expect_eq(((struct sockaddr *)seen_peer)->sa_family, AF_INET);
    call(server, 'e');
    struct sb_totals totals = sb_scoreboard_totals(sb_server_scoreboard(server));
    cr_expect_eq(totals.served, 2);
    cr_expect_eq(totals.errors, 1);
    cr_expect_eq(totals.workers, 0);
    cr_expect_str_eq(sb_server_scoreboard(server)->handler, "looker");
    cr_expect_str_eq(sb_server_scoreboard(server)->strategy, "serial");
    sb_server_destroy(server);
}

Test(scoreboard, of_a_process_without_a_server_is_not_found)
{
    const struct sb_scoreboard *board = NULL;
    cr_expect_eq(sb_scoreboard_open(getppid(), &board), -ENOENT);
    cr_expect_eq(sb_scoreboard_open(0x7fffffff, &board), -ENOENT);
    cr_expect_null(board);
    sb_scoreboard_close(NULL);
}

Test(scoreboard, every_state_has_a_name)
{
    cr_expect_str_eq(sb_state_name(SB_FREE), "free");
    cr_expect_str_eq(sb_state_name(SB_SLEEPING), "sleeping");
    cr_expect_str_eq(sb_state_name(SB_DEAD), "dead");
    cr_expect_str_eq(sb_state_name(SB_ACCEPTED), "accepted");
    cr_expect_str_eq(sb_state_name(SB_ACCEPTED + 1), "unknown");
    cr_expect_str_eq(sb_state_name(77), "unknown");
}

/* --- the trace ---------------------------------------------------------------------------------------------------- */

enum { CALLERS = 5, ROOM = 10000, ANSWER_S = 120 };

/* The sockets of the callers, and their ports; bound before any calls, so that no two have the same. */
static int caller_fds[CALLERS];
static uint16_t ports[CALLERS];

static void bind_callers(int socktype)
{
    const struct timeval limit = { .tv_sec = ANSWER_S };
    for (int i = 0; i < CALLERS; i++) {
        struct sockaddr_in own = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
        socklen_t size = sizeof own;
        caller_fds[i] = socket(AF_INET, socktype | SOCK_CLOEXEC, 0);
        setsockopt(caller_fds[i], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        cr_assert_eq(bind(caller_fds[i], (struct sockaddr *)&own, sizeof own), 0);
        cr_assert_eq(getsockname(caller_fds[i], (struct sockaddr *)&own, &size), 0);
        ports[i] = ntohs(own.sin_port);
    }
}

/* Each says a byte, and hears one, or only the end. */
static int call_in_turn(const struct sb_address *address, bool answered)
{
    char byte = 'a';
    for (int i = 0; i < CALLERS; i++) {
        if (connect(caller_fds[i], &address->sa, address->size) < 0)
            return 1;
        send(caller_fds[i], &byte, 1, MSG_NOSIGNAL);
        if ((recv(caller_fds[i], &byte, 1, 0) == 1) != answered)
            return 1;
        close(caller_fds[i]);
    }
    return 0;
}

static struct sb_server *served;

static void stop(int signo)
{
    (void)signo;
    sb_server_stop(served);
}

/* The server is alone in its process, without threads that are not its own, for it may fork. When this returns all that
 * will ever happen to the board has happened. */
static struct sb_server *serve_callers(const struct sb_class *const *type, const char *address,
                                       const struct sb_handler *handler, struct sb_config *config, bool answered)
{
    struct sb_address parsed;
    int status;
    config->log = quiet;
    cr_assert_eq(sb_server_create(type, address, SB_HANDLERS(handler), config, &served), 0);
    cr_assert_eq(sb_address_parse(sb_server_address(served, 0), NULL, &parsed, NULL), 0);
    signal(SIGTERM, stop);
    bind_callers(parsed.socktype);
    pid_t pid = fork();
    if (pid == 0) {
        int failed = call_in_turn(&parsed, answered);
        kill(getppid(), SIGTERM);
        _exit(failed);
    }
    for (int i = 0; i < CALLERS; i++)
        close(caller_fds[i]);
    cr_assert_eq(sb_server_serve_forever(served), 0);
    sb_server_close(served);
    cr_assert(waitpid(pid, &status, 0) == pid && status == 0, "a caller was not answered as it should be");
    return served;
}

static size_t board_size(const struct sb_scoreboard *board)
{
    return (sizeof *board + 127) / 128 * 128 + board->trace_room * sizeof(struct sb_trace_event) +
           board->slot_count * (sizeof(struct sb_slot) + (board->trace_room > 0 ? sizeof(struct sb_durations) : 0));
}

/* All that a ring has; *ret_count: so many, which are the next call's to overwrite. */
static const struct sb_trace_event *read_all(const struct sb_scoreboard *board, unsigned *ret_count)
{
    static struct sb_trace_event events[ROOM];
    struct sb_trace_reader reader = { .board = board };
    *ret_count = sb_trace_read(&reader, events, ROOM);
    return events;
}

/* What happened to a caller, in words; and how the slot that it was on went on. */
static void tell(const struct sb_scoreboard *board, uint16_t port, char *story, size_t size, enum sb_state *ret_last)
{
    const struct sb_trace_event *events, *previous = NULL;
    unsigned count;
    bool over = false;
    FILE *text = fmemopen(story, size, "w");
    events = read_all(board, &count);
    for (const struct sb_trace_event *event = events; event < events + count; event++) {
        bool begun = previous && previous->state != SB_ACCEPTED, same_slot = previous && event->slot == previous->slot;
        if (event->port != port && (!begun || !same_slot || over))
            continue;
        cr_expect(!over, "more after its end");
        cr_expect(!begun || same_slot, "on two slots");
        cr_expect(!previous || event->time_ns >= previous->time_ns, "back in time");
        over = event->port != port;
        if (over)
            *ret_last = event->state;
        else
            fprintf(text, "%s%s", previous ? " " : "", sb_state_name(event->state));
        previous = event;
    }
    cr_expect(over, "no end");
    fclose(text);
}

static void expect_complete(const struct sb_scoreboard *board)
{
    unsigned count;
    const struct sb_trace_event *events = read_all(board, &count);
    cr_assert_eq(count, board->trace_count);
    cr_assert_lt(count, board->trace_room);
    for (unsigned i = 0; i < count; i++) {
        cr_expect_neq(events[i].time_ns, 0);
        cr_expect_lt(events[i].slot, board->slot_count);
        cr_expect_leq(events[i].state, SB_ACCEPTED);
        cr_expect(events[i].port == 0 || (events[i].state >= SB_READING && events[i].state != SB_DEAD));
    }
}

/* That happened to each of the callers; after it came one of `lasts`, ended by SB_HANDLING. */
static void expect_story(const struct sb_scoreboard *board, const char *expected, const enum sb_state *lasts)
{
    expect_complete(board);
    for (int i = 0; i < CALLERS; i++) {
        char story[512] = "";
        enum sb_state last = SB_HANDLING;
        tell(board, ports[i], story, sizeof story, &last);
        cr_expect_str_eq(story, expected);
        const enum sb_state *allowed = lasts;
        while (*allowed != last && *allowed != SB_HANDLING)
            allowed++;
        cr_expect_neq(*allowed, SB_HANDLING, "it ended %s", sb_state_name(last));
    }
}

#define LASTS(...) ((const enum sb_state[]){ __VA_ARGS__, SB_HANDLING })

static int doze_and_answer(struct sb_request *request)
{
    char text[16];
    ssize_t n;
    int r = 0;
    while (r == 0 && (n = sb_recv(request, text, sizeof text)) > 0)
        if ((r = sb_sleep(request, 1)) == 0)
            r = sb_sendall(request, text, n);
    return r;
}

static int answer(struct sb_request *request)
{
    char text[16];
    ssize_t n;
    while ((n = sb_recv(request, text, sizeof text)) > 0)
        sb_sendall(request, text, n);
    return n;
}

static const struct sb_handler answerer = { .name = "answerer", .handle = answer };

static void *serve_it(void *server)
{
    cr_assert_eq(sb_server_serve_forever(server), 0);
    return NULL;
}

static void ask_once(const struct sb_address *address)
{
    char byte = 'a';
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(connect(fd, &address->sa, address->size), 0);
    cr_assert_eq(send(fd, &byte, 1, 0), 1);
    cr_assert_eq(recv(fd, &byte, 1, 0), 1);
    close(fd);
}

/* A loop that listens with the turn says so, and has left it when it handles. */
static int look_whose_turn(struct sb_request *request)
{
    const struct sb_scoreboard *board = sb_server_scoreboard(sb_request_server(request));
    unsigned turn = __atomic_load_n(&board->turn, __ATOMIC_RELAXED);
    bool other = turn == 0 || sb_scoreboard_slot(board, turn - 1)->state != SB_HANDLING;
    return other ? answer(request) : -EIO;
}

Test(scoreboard, shows_whose_turn_it_is)
{
    static const struct sb_handler looker = { .name = "looker", .handle = look_whose_turn };
    for (enum sb_discipline discipline = SB_ACCEPT_SHARED; discipline <= SB_ACCEPT_FLOCK; discipline++) {
        struct sb_config config = SB_CONFIG_DEFAULTS;
        struct sb_server *server;
        struct sb_address address;
        pthread_t thread;
        config.log = quiet;
        config.strategy = "prethread:3";
        config.accept = discipline;
        cr_assert_eq(sb_server_create(NULL, "127.0.0.1:0", SB_HANDLERS(&looker), &config, &server), 0);
        cr_assert_eq(sb_address_parse(sb_server_address(server, 0), NULL, &address, NULL), 0);
        const struct sb_scoreboard *board = sb_server_scoreboard(server);
        pthread_create(&thread, NULL, serve_it, server);
        for (int i = 0; i < 20; i++)
            ask_once(&address);
        while (discipline != SB_ACCEPT_SHARED && __atomic_load_n(&board->turn, __ATOMIC_RELAXED) == 0)
            usleep(1000);
        sb_server_stop(server);
        pthread_join(thread, NULL);
        cr_expect_eq(board->turn, 0);
        cr_expect_eq(sb_scoreboard_totals(board).errors, 0);
        sb_server_destroy(server);
    }
}

static const struct sb_handler dozer = { .name = "dozer", .handle = doze_and_answer };

ParameterizedTestParameters(scoreboard, tells_each_request_from_its_accept_to_its_end)
{
    struct setting *list = cr_calloc(DESIGNS * FAMILIES, sizeof *list);
    size_t count = 0;
    for (int d = 0; d < DESIGNS; d++)
        for (int f = 0; f < FAMILIES; f++)
            if (fits(&designs[d], families[f]) && strncmp(families[f], "unix", 4) != 0) {
                list[count].design = designs[d];
                strcpy(list[count++].family, families[f]);
            }
    return cr_make_param_array(struct setting, list, count);
}

static bool has_uring(void)
{
    struct sb_config config = SB_CONFIG_DEFAULTS;
    struct sb_server *server = NULL;
    config.log = quiet;
    config.strategy = "fiber:uring";
    int r = sb_server_create(NULL, "127.0.0.1:0", SB_HANDLERS(&answerer), &config, &server);
    sb_server_destroy(server);
    return r == 0;
}

/* Where a send does not block, who has not to wait for it has not been writing. */
static const char *story_of(const struct setting *setting)
{
    const char *strategy = setting->design.strategy;
    bool waits_apart = strstr(strategy, "fiber:epoll") || (strstr(strategy, "fiber") && !has_uring());
    if (!is_stream(setting->family))
        return "accepted handling sleeping handling writing closing";
    return waits_apart ? "accepted handling reading handling sleeping handling reading handling closing"
                       : "accepted handling reading handling sleeping handling writing handling reading handling closing";
}

ParameterizedTest(struct setting *setting, scoreboard, tells_each_request_from_its_accept_to_its_end)
{
    struct sb_config config = SB_CONFIG_DEFAULTS;
    char address[32];
    cr_log_info("%s %s %s", setting->design.strategy, setting->design.accept, setting->family);
    config.strategy = setting->design.strategy;
    config.accept = sb_discipline_parse(setting->design.accept);
    config.trace = ROOM;
    snprintf(address, sizeof address, "%s://127.0.0.1:0", setting->family);
    struct sb_server *server = serve_callers(NULL, address, &dozer, &config, true);
    expect_story(sb_server_scoreboard(server), story_of(setting), LASTS(SB_WAITING, SB_FREE, SB_DEAD));
    sb_server_destroy(server);
}

static int die(struct sb_request *request)
{
    char byte;
    return sb_recv(request, &byte, 1) == 1 ? raise(SIGKILL) : -EIO;
}

Test(scoreboard, tells_that_a_process_died)
{
    static const struct sb_handler mortal = { .name = "mortal", .handle = die };
    struct sb_config config = SB_CONFIG_DEFAULTS;
    config.strategy = "fork";
    config.trace = ROOM;
    struct sb_server *server = serve_callers(NULL, "127.0.0.1:0", &mortal, &config, false);
    expect_story(sb_server_scoreboard(server), "accepted handling reading handling closing", LASTS(SB_DEAD));
    sb_server_destroy(server);
}

static int wait_around(struct sb_request *request)
{
    int fds[2];
    char byte;
    if (pipe(fds) < 0 || write(fds[1], "x", 1) != 1 || sb_wait_fd(request, fds[0], POLLIN, -1) != POLLIN ||
        sb_wait_fd(request, fds[0], POLLOUT, 1) >= 0)
        return -EIO;
    close(fds[0]);
    close(fds[1]);
    sb_wait_fd(request, sb_fileno(request), POLLIN, -1);
    sb_wait_fd(request, sb_fileno(request), POLLOUT, -1);
    return sb_recv(request, &byte, 1) == 1 ? 0 : -EIO;
}

Test(scoreboard, tells_what_a_handler_waits_for)
{
    static const struct sb_handler waiter = { .name = "waiter", .handle = wait_around };
    struct sb_config config = SB_CONFIG_DEFAULTS;
    config.trace = ROOM;
    struct sb_server *server = serve_callers(NULL, "127.0.0.1:0", &waiter, &config, false);
    expect_story(sb_server_scoreboard(server), "accepted handling sleeping handling sleeping handling "
                 "reading handling writing handling reading handling closing", LASTS(SB_WAITING));
    sb_server_destroy(server);
}

static bool refuse(struct sb_request *request)
{
    (void)request;
    return false;
}

Test(scoreboard, tells_that_a_caller_was_turned_away)
{
    static const struct sb_class refuser = { .name = "refuser", .verify_request = refuse };
    static const struct sb_class *const type[] = { &refuser, &sb_tcp_class, NULL };
    static const char *const strategies[] = { NULL, "thread", "fiber:epoll" };
    for (int i = 0; i < 3; i++) {
        struct sb_config config = SB_CONFIG_DEFAULTS;
        config.strategy = strategies[i];
        config.trace = ROOM;
        struct sb_server *server = serve_callers(type, "127.0.0.1:0", &dozer, &config, false);
        expect_story(sb_server_scoreboard(server), "accepted closing", LASTS(SB_WAITING));
        sb_server_destroy(server);
    }
}

/* --- its bounds --------------------------------------------------------------------------------------------------- */

static struct sb_server *serve_three(int trace)
{
    static const struct sb_handler handler = { .name = "looker", .handle = handle };
    struct sb_config config = SB_CONFIG_DEFAULTS;
    struct sb_server *server;
    config.log = quiet;
    config.trace = trace;
    cr_assert_eq(sb_server_create(sb_tcp_server, "127.0.0.1:0", SB_HANDLERS(&handler), &config, &server), 0);
    for (int i = 0; i < 3; i++)
        call(server, 'a');
    return server;
}

Test(scoreboard, has_no_trace_unless_asked_for)
{
    struct sb_server *server = serve_three(0);
    unsigned count = 1;
    read_all(sb_server_scoreboard(server), &count);
    cr_expect_eq(count, 0);
    cr_expect_eq(sb_server_scoreboard(server)->trace_count, 0);
    cr_expect_null(sb_scoreboard_durations(sb_server_scoreboard(server), 0));
    cr_expect_eq(sb_trace_switch(getpid(), true), -EOPNOTSUPP);
    sb_server_destroy(server);
}

Test(scoreboard, keeps_what_happened_last)
{
    enum { SMALL = 4 };
    struct sb_server *server = serve_three(ROOM), *small = serve_three(SMALL);
    const struct sb_scoreboard *board = sb_server_scoreboard(small);
    struct sb_trace_event last[SMALL + 1];
    struct sb_trace_reader reader = { .board = board };
    unsigned count;
    const struct sb_trace_event *events = read_all(sb_server_scoreboard(server), &count);
    cr_expect_eq(board->trace_count, count);
    cr_assert_gt(count, SMALL);
    cr_expect_eq(sb_trace_read(&reader, last, SMALL + 1), SMALL);
    cr_expect_eq(reader.missed, count - SMALL);
    for (unsigned i = 0; i < SMALL; i++) {
        cr_expect_eq(last[i].state, events[count - SMALL + i].state);
        cr_expect_eq(last[i].lap, (count - SMALL + i) / SMALL);
    }
    cr_expect_eq(sb_trace_read(&reader, last, SMALL + 1), 0, "nothing has happened since");
    const char *behind = (const char *)board + board_size(board);
    size_t left = -(uintptr_t)behind % sysconf(_SC_PAGESIZE);
    cr_assert_gt(left, sizeof *events, "nothing behind the trace to look at");
    for (size_t i = 0; i < left; i++)
        cr_assert_eq(behind[i], 0, "written behind its end");
    sb_server_destroy(server);
    sb_server_destroy(small);
}

Test(scoreboard, is_followed)
{
    struct sb_server *server = serve_three(ROOM);
    const struct sb_scoreboard *board = sb_server_scoreboard(server);
    struct sb_trace_reader reader = { .board = board, .next = board->trace_count };
    uint64_t begun = board->trace_count;
    struct sb_trace_event some[2];
    unsigned count, read = 0, n;
    cr_expect_eq(sb_trace_read(&reader, some, 2), 0);
    call(server, 'a');
    const struct sb_trace_event *events = read_all(board, &count);
    while ((n = sb_trace_read(&reader, some, 2)) > 0) {
        cr_expect_arr_eq(some, &events[begun + read], n * sizeof *some);
        read += n;
    }
    cr_expect_eq(begun + read, count);
    cr_expect_eq(reader.missed, 0);
    sb_server_destroy(server);
}

/* Its process was killed just then, or has not come to run for a while. */
Test(scoreboard, waits_once_for_an_event_that_is_not_finished)
{
    struct sb_server *server = serve_three(ROOM);
    const struct sb_scoreboard *board = sb_server_scoreboard(server);
    struct sb_trace_reader reader = { .board = board };
    unsigned count;
    struct sb_trace_event events[ROOM];
    read_all(board, &count);
    const char *end = (const char *)board + board_size(board);
    struct sb_trace_event *third = (struct sb_trace_event *)end - board->trace_room + 2;
    uint64_t time_ns = third->time_ns;
    third->time_ns = 0;
    cr_expect_eq(sb_trace_read(&reader, events, ROOM), 2);
    third->time_ns = time_ns;
    cr_expect_eq(sb_trace_read(&reader, events, ROOM), count - 2, "it is there by now");
    cr_expect_eq(reader.missed, 0);
    reader = (struct sb_trace_reader){ .board = board };
    third->time_ns = 0;
    cr_expect_eq(sb_trace_read(&reader, events, ROOM), 2);
    cr_expect_eq(sb_trace_read(&reader, events, ROOM), count - 3);
    cr_expect_eq(reader.missed, 1);
    sb_server_destroy(server);
}

Test(scoreboard, is_traced_only_while_it_is_switched_on)
{
    struct sb_server *server = serve_three(ROOM);
    const struct sb_scoreboard *board = sb_server_scoreboard(server);
    uint64_t count = board->trace_count;
    cr_assert_eq(sb_trace_switch(getpid(), false), 0);
    call(server, 'a');
    cr_expect_eq(board->trace_count, count);
    cr_assert_eq(sb_trace_switch(getpid(), true), 0);
    call(server, 'a');
    cr_expect_gt(board->trace_count, count);
    sb_server_destroy(server);
}

static unsigned sum(const uint32_t *counts, unsigned first)
{
    unsigned total = 0;
    for (unsigned i = first; i < SB_DURATIONS; i++)
        total += counts[i];
    return total;
}

static int doze_twice(struct sb_request *request)
{
    char byte;
    int r = 0;
    for (int i = 0; r >= 0 && i < 2; i++)
        if ((r = sb_recv(request, &byte, 1)) > 0)
            r = sb_sleep(request, 5);
    return r;
}

/* Each byte takes 5 ms, and more than 4 ms are the twelfth number and those behind it. */
Test(scoreboard, counts_how_long_its_slots_took)
{
    static const struct sb_handler handler = { .name = "twice", .handle = doze_twice };
    struct sb_config config = SB_CONFIG_DEFAULTS;
    struct sb_server *server;
    struct sb_address address;
    config.log = quiet;
    config.trace = ROOM;
    cr_assert_eq(sb_server_create(sb_tcp_server, "127.0.0.1:0", SB_HANDLERS(&handler), &config, &server), 0);
    cr_assert_eq(sb_address_parse(sb_server_address(server, 0), NULL, &address, NULL), 0);
    for (int i = 0; i < 3; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        cr_assert_eq(connect(fd, &address.sa, address.size), 0);
        cr_assert_eq(send(fd, "ab", 2, 0), 2);
        cr_assert_eq(sb_server_handle_request(server), 1);
        close(fd);
    }
    const struct sb_durations *durations = sb_scoreboard_durations(sb_server_scoreboard(server), 0);
    cr_expect_eq(sum(durations->handling, 12), 6);
    cr_expect_eq(sum(durations->handling, 0), 6);
    sb_server_destroy(server);
}

struct follower {
    struct sb_trace_reader reader;
    uint64_t read;
    atomic_bool over;
};

static void follow(struct follower *follower)
{
    static uint64_t last_ns[1000];
    struct sb_trace_event events[16];
    unsigned n;
    while ((n = sb_trace_read(&follower->reader, events, 16)) > 0) {
        follower->read += n;
        for (unsigned i = 0; i < n; i++) {
            cr_assert_lt(events[i].slot, 1000);
            cr_assert_leq(events[i].state, SB_ACCEPTED);
            cr_assert_geq(events[i].time_ns, last_ns[events[i].slot], "a slot goes back in time");
            last_ns[events[i].slot] = events[i].time_ns;
        }
    }
}

static void *follow_to_the_end(void *data)
{
    struct follower *follower = data;
    while (!atomic_load(&follower->over))
        follow(follower);
    for (int i = 0; i < 2; i++)
        follow(follower);
    return NULL;
}

/* A ring that is far too small: what is read is whole nevertheless, and all else is counted. */
Test(scoreboard, is_followed_by_who_is_too_slow)
{
    static struct follower follower;
    struct sb_config config = SB_CONFIG_DEFAULTS;
    struct sb_server *server;
    struct sb_address address;
    pthread_t threads[2];
    config.log = quiet;
    config.trace = 64;
    config.strategy = "prethread:4";
    cr_assert_eq(sb_server_create(sb_tcp_server, "127.0.0.1:0", SB_HANDLERS(&answerer), &config, &server), 0);
    cr_assert_eq(sb_address_parse(sb_server_address(server, 0), NULL, &address, NULL), 0);
    follower.reader.board = sb_server_scoreboard(server);
    pthread_create(&threads[0], NULL, serve_it, server);
    pthread_create(&threads[1], NULL, follow_to_the_end, &follower);
    for (int i = 0; i < 2000; i++)
        ask_once(&address);
    sb_server_shutdown(server);
    pthread_join(threads[0], NULL);
    atomic_store(&follower.over, true);
    pthread_join(threads[1], NULL);
    cr_expect_eq(follower.read + follower.reader.missed, follower.reader.board->trace_count);
    cr_expect_gt(follower.read, 0);
    unsigned handled = 0, waited = 0;
    for (unsigned i = 0; i < follower.reader.board->slot_count; i++) {
        const struct sb_durations *durations = sb_scoreboard_durations(follower.reader.board, i);
        handled += sum(durations->handling, 0);
        waited += sum(durations->waiting, 0);
    }
    cr_expect_eq(handled, 4000, "each byte, and that there are no more");
    cr_expect_gt(waited, 0);
    sb_server_destroy(server);
}

Test(scoreboard, shows_its_trace_to_others)
{
    struct sb_server *server = serve_three(ROOM);
    const struct sb_scoreboard *board;
    unsigned count, own_count;
    cr_assert_eq(sb_scoreboard_open(getpid(), &board), 0);
    struct sb_trace_event own[ROOM];
    memcpy(own, read_all(sb_server_scoreboard(server), &own_count), sizeof own);
    const struct sb_trace_event *events = read_all(board, &count);
    cr_assert_eq(count, own_count);
    cr_expect_arr_eq(events, own, count * sizeof *events);
    sb_scoreboard_close(board);
    sb_server_destroy(server);
}

Test(scoreboard, of_a_senseless_size_is_refused)
{
    struct sb_config config = SB_CONFIG_DEFAULTS;
    struct sb_server *server = NULL;
    config.log = quiet;
    config.trace = -1;
    cr_expect_eq(sb_server_create(NULL, "127.0.0.1:0", SB_HANDLERS(&dozer), &config, &server), -EINVAL);
    config.trace = 1000001;
    cr_expect_eq(sb_server_create(NULL, "127.0.0.1:0", SB_HANDLERS(&dozer), &config, &server), -EINVAL);
    cr_expect_null(server);
}

/* What sb_scoreboard_open() says to a board of these numbers in a file of that size. */
static int open_forged(struct sb_scoreboard forged, size_t size)
{
    const struct sb_scoreboard *board;
    int fd = memfd_create("switchboard-scoreboard", MFD_CLOEXEC);
    cr_assert(ftruncate(fd, size) == 0 && pwrite(fd, &forged, sizeof forged, 0) == sizeof forged);
    int r = sb_scoreboard_open(getpid(), &board);
    if (r == 0)
        sb_scoreboard_close(board);
    close(fd);
    return r;
}

Test(scoreboard, that_does_not_fit_its_file_is_not_opened)
{
    enum { HEADER = (sizeof(struct sb_scoreboard) + 127) / 128 * 128 };
    const size_t size = HEADER + 2 * (sizeof(struct sb_slot) + sizeof(struct sb_durations)) +
                        4 * sizeof(struct sb_trace_event);
    const struct sb_scoreboard good = { .magic = SB_SCOREBOARD_MAGIC, .version = SB_SCOREBOARD_VERSION,
                                        .slot_count = 2, .slot_size = sizeof(struct sb_slot), .trace_room = 4,
                                        .trace_bits = 2 };
    struct sb_scoreboard bad = good;
    cr_expect_eq(open_forged(good, size), 0);
    cr_expect_eq(open_forged(good, size - 1), -EPROTO);
    cr_expect_eq(open_forged(good, size + 1), -EPROTO);
    bad.trace_room = UINT32_MAX;
    cr_expect_eq(open_forged(bad, size), -EPROTO);
    bad = good;
    bad.slot_count = UINT32_MAX;
    cr_expect_eq(open_forged(bad, size), -EPROTO);
    bad = good;
    bad.version = 1;
    cr_expect_eq(open_forged(bad, size), -EPROTO);
}
