/* The scoreboard and its trace: what a server tells about itself. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
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

/* What happened to a caller, in words; and how the slot that it was on went on. */
static void tell(const struct sb_scoreboard *board, uint16_t port, char *story, size_t size, enum sb_state *ret_last)
{
    const struct sb_trace_event *events, *previous = NULL;
    unsigned count;
    bool over = false;
    FILE *text = fmemopen(story, size, "w");
    events = sb_scoreboard_trace(board, &count);
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
    const struct sb_trace_event *events = sb_scoreboard_trace(board, &count);
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
    expect_story(sb_server_scoreboard(server), is_stream(setting->family)
                 ? "accepted handling reading handling sleeping handling writing handling reading handling closing"
                 : "accepted handling sleeping handling writing closing",
                 LASTS(SB_WAITING, SB_FREE, SB_DEAD));
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
    sb_scoreboard_trace(sb_server_scoreboard(server), &count);
    cr_expect_eq(count, 0);
    cr_expect_eq(sb_server_scoreboard(server)->trace_count, 0);
    sb_server_destroy(server);
}

Test(scoreboard, counts_what_a_full_trace_has_no_room_for)
{
    enum { SMALL = 5 };
    struct sb_server *server = serve_three(ROOM), *small = serve_three(SMALL);
    const struct sb_scoreboard *board = sb_server_scoreboard(small);
    unsigned count;
    const struct sb_trace_event *events = sb_scoreboard_trace(board, &count);
    cr_expect_eq(count, SMALL);
    cr_expect_eq(board->trace_count, sb_server_scoreboard(server)->trace_count);
    cr_expect_gt(board->trace_count, SMALL);
    cr_expect_eq(events[SMALL - 1].state, SB_HANDLING);
    const char *behind = (const char *)(events + SMALL);
    size_t left = -(uintptr_t)behind % sysconf(_SC_PAGESIZE);
    cr_assert_gt(left, sizeof *events, "nothing behind the trace to look at");
    for (size_t i = 0; i < left; i++)
        cr_assert_eq(behind[i], 0, "written behind its end");
    sb_server_destroy(server);
    sb_server_destroy(small);
}

Test(scoreboard, shows_its_trace_to_others)
{
    struct sb_server *server = serve_three(ROOM);
    const struct sb_scoreboard *board;
    unsigned count, own_count;
    cr_assert_eq(sb_scoreboard_open(getpid(), &board), 0);
    const struct sb_trace_event *own = sb_scoreboard_trace(sb_server_scoreboard(server), &own_count);
    const struct sb_trace_event *events = sb_scoreboard_trace(board, &count);
    cr_assert_eq(count, own_count);
    cr_expect_neq(events, own);
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
    const size_t size = HEADER + 2 * sizeof(struct sb_slot) + 3 * sizeof(struct sb_trace_event);
    const struct sb_scoreboard good = { .magic = SB_SCOREBOARD_MAGIC, .version = SB_SCOREBOARD_VERSION,
                                        .slot_count = 2, .slot_size = sizeof(struct sb_slot), .trace_room = 3 };
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
