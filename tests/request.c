/* The handler author's verbs, each from inside a handler under the plain server, over a stream and a datagram. */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <string.h>
#include <sys/socket.h>
#include <switchboard/switchboard.h>
#include <unistd.h>

TestSuite(request, .timeout = 600);

static char logged[8192];
static const char *framing = "none";

static void record(void *data, enum sb_log_level level, const char *text)
{
    (void)data;
    (void)level;
    strncat(logged, text, sizeof logged - 1 - strlen(logged));
}

static int dial(const struct sb_server *server)
{
    struct sb_address address;
    struct timeval limit = { .tv_sec = 120 };
    cr_assert_eq(sb_address_parse(sb_server_address(server, 0), NULL, &address, NULL), 0);
    int fd = socket(address.sa.sa_family, address.socktype, 0);
    if (address.socktype == SOCK_DGRAM && address.sa.sa_family == AF_UNIX)
        bind(fd, &(struct sockaddr){ .sa_family = AF_UNIX }, sizeof(sa_family_t));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    cr_assert_eq(connect(fd, &address.sa, address.size), 0);
    return fd;
}

/* One request to `handler` at a server of `type`: sends `question`, ends its half, returns what came back. */
static ssize_t ask(const struct sb_class *const *type, const char *address, const struct sb_handler *handler,
                   const char *question, size_t size, char *answer, size_t answer_size)
{
    struct sb_config config = SB_CONFIG_DEFAULTS;
    struct sb_server *server;
    char option[32];
    snprintf(option, sizeof option, "frame=%s", framing);
    config.log = record;
    config.timeout_ms = 120000;
    const char *options[] = { option, NULL };
    config.options = strcmp(framing, "none") == 0 ? NULL : options;
    logged[0] = '\0';
    cr_assert_eq(sb_server_create(type, address, SB_HANDLERS(handler), &config, &server), 0, "%s", logged);
    int fd = dial(server);
    cr_assert_eq(send(fd, question, size, 0), (ssize_t)size);
    shutdown(fd, SHUT_WR);
    cr_assert_eq(sb_server_handle_request(server), 1);
    ssize_t length = 0, n;
    memset(answer, 0, answer_size);
    while ((n = recv(fd, answer + length, answer_size - 1 - length, MSG_DONTWAIT)) > 0)
        length += n;
    close(fd);
    sb_server_destroy(server);
    return length;
}

#define ASK(server_type, where, the_handler, question)                                                     \
    ask(server_type, where, the_handler, question, strlen(question), answer, sizeof answer)

static char answer[70000];

/* --- reading ------------------------------------------------------------------------------------------------------ */

static int lines(struct sb_request *request)
{
    char line[8], rest[16];
    ssize_t n;
    for (int i = 0; i < 3; i++) {
        if ((n = sb_readline(request, line, sizeof line)) < 0)
            return n;
        sb_printf(request, "[%zd:%s]", n, line);
    }
    n = sb_recv(request, rest, sizeof rest);
    sb_printf(request, "(%.*s)", (int)n, rest);
    return sb_recv(request, rest, sizeof rest) == 0 && sb_readline(request, line, sizeof line) == 0 ? 0 : -EPROTO;
}

static const struct sb_handler reads_lines = { .name = "lines", .handle = lines };

Test(request, readline_gives_lines_pieces_of_long_ones_and_then_the_rest)
{
    static const char expected[] = "[3:ab\n][7:longlon][2:g\n](tail)";
    ASK(sb_tcp_server, "127.0.0.1:0", &reads_lines, "ab\nlonglong\ntail");
    cr_expect_str_eq(answer, expected);
    ASK(sb_udp_server, "127.0.0.1:0", &reads_lines, "ab\nlonglong\ntail");
    cr_expect_str_eq(answer, expected, "a datagram reads as a stream does: %s", answer);
}

static int files(struct sb_request *request)
{
    char *line = NULL;
    size_t size = 0;
    FILE *rfile = sb_rfile(request), *wfile = sb_wfile(request);
    while (getline(&line, &size, rfile) > 0)
        fprintf(wfile, "<%.*s>", (int)strcspn(line, "\n"), line);
    free(line);
    return 0;
}

static const struct sb_handler uses_files = { .name = "files", .handle = files, .wbufsize = 4096 };

Test(request, rfile_and_wfile_are_stdio_streams)
{
    ASK(sb_tcp_server, "127.0.0.1:0", &uses_files, "one\ntwo\nthree");
    cr_expect_str_eq(answer, "<one><two><three>");
    ASK(sb_udp_server, "127.0.0.1:0", &uses_files, "one\ntwo\nthree");
    cr_expect_str_eq(answer, "<one><two><three>", "the reply is one datagram");
}

/* --- messages ----------------------------------------------------------------------------------------------------- */

static int echo_messages(struct sb_request *request)
{
    char message[8];
    size_t size;
    int r;
    while ((r = sb_recv_message(request, message, sizeof message, &size)) > 0)
        if ((r = sb_send_message(request, message, size)) < 0)
            break;
    return r;
}

static const struct sb_option frame_option[] = { SB_FRAME_OPTION, { .name = NULL } };
static const struct sb_handler echoes = { .name = "echoes", .options = frame_option, .handle = echo_messages };

static void expect_echo(const char *name, const char *question, size_t size, const char *reply, size_t reply_size)
{
    framing = name;
    ssize_t length = ask(sb_tcp_server, "127.0.0.1:0", &echoes, question, size, answer, sizeof answer);
    cr_expect_eq(length, (ssize_t)reply_size, "%s: %zd bytes", name, length);
    cr_expect_arr_eq(answer, reply, reply_size, "%s", name);
}

#define EXPECT_ECHO(name, question, reply) expect_echo(name, question, sizeof question - 1, reply, sizeof reply - 1)

Test(request, messages_come_whole_and_go_framed)
{
    EXPECT_ECHO("none", "hello", "hello");
    EXPECT_ECHO("u32", "\0\0\0\2hi\0\0\0\0\0\0\0\1x", "\0\0\0\2hi\0\0\0\0\0\0\0\1x");
    EXPECT_ECHO("line", "one\n\ntwo\n", "one\n\ntwo\n");
    EXPECT_ECHO("netstring", "3:one,0:,8:12345678,", "3:one,0:,8:12345678,");
    EXPECT_ECHO("text2", "hello", "05hello");
    EXPECT_ECHO("line/text8", "hello\n", "00000005hello");
    EXPECT_ECHO("line/ready", "hi\nready", "2hi");
    cr_expect(strstr(logged, "the caller ended in the middle of a message") == NULL, "%s", logged);
}

Test(request, an_answer_that_is_not_ready_is_refused)
{
    EXPECT_ECHO("line/ready", "hi\nreally?", "2");
    cr_expect(strstr(logged, "the caller did not answer a length by ready (-74)"), "%s", logged);
}

Test(request, a_message_that_is_none_is_refused_with_the_reason)
{
    static const struct { const char *framing, *question; size_t size; const char *why; } cases[] = {
        { "i32/none", "\xff\xff\xff\xff", 4, "the caller sent a negative length, -1 (framing i32) (-74)" },
        { "i32/none", "\xff\xff\xff\x7f", 4, "2147483647 bytes, more than the 8 that are allowed (framing i32) (-90)" },
        { "netstring", "99x", 3, "a length that is no number: '99x' (framing netstring) (-74)" },
        { "netstring", "9:", 2, "a message of 9 bytes, more than the 8 that are allowed" },
        { "netstring", "5:he", 4, "the caller ended in the middle of a message (-74)" },
        { "u32", "\0\0", 2, "the caller ended in the middle of a message" },
        { "line", "hello", 5, "the caller ended in the middle of a message" },
        { "line/text2", "123456789\n", 10, "a line of more than the 8 bytes that are allowed" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        expect_echo(cases[i].framing, cases[i].question, cases[i].size, "", 0);
        cr_expect(strstr(logged, cases[i].why), "%s", logged);
    }
}

Test(request, a_datagram_is_a_message_whatever_the_framing_and_an_empty_one_too)
{
    framing = "netstring";
    cr_expect_eq(ask(sb_udp_server, "127.0.0.1:0", &echoes, "5:a,", 4, answer, sizeof answer), 4);
    cr_expect_str_eq(answer, "5:a,");
}

static int marks_messages(struct sb_request *request)
{
    char message[8];
    size_t size;
    int r;
    while ((r = sb_recv_message(request, message, sizeof message, &size)) > 0)
        sb_printf(request, "[%zu]", size);
    return r;
}

Test(request, an_empty_datagram_is_one_message_and_a_connection_without_words_none)
{
    static const struct sb_handler handler = { .name = "marks", .handle = marks_messages };
    ASK(sb_udp_server, "127.0.0.1:0", &handler, "");
    cr_expect_str_eq(answer, "[0]");
    ASK(sb_tcp_server, "127.0.0.1:0", &handler, "");
    cr_expect_str_eq(answer, "");
}

static int reads_in_turns(struct sb_request *request)
{
    char message[8], line[8], rest[8];
    size_t size;
    if (sb_recv_message(request, message, sizeof message, &size) != 1 || sb_readline(request, line, sizeof line) <= 0)
        return -EPROTO;
    ssize_t n = sb_recv(request, rest, sizeof rest);
    return n < 0 ? n : sb_printf(request, "%.*s|%s|%.*s", (int)size, message, line, (int)n, rest);
}

Test(request, what_follows_a_message_is_there_for_readline_and_recv)
{
    static const struct sb_handler handler = { .name = "turns", .options = frame_option, .handle = reads_in_turns };
    framing = "netstring";
    ASK(sb_tcp_server, "127.0.0.1:0", &handler, "2:hi,line\nrest");
    cr_expect_str_eq(answer, "hi|line\n|rest");
}

static int fails_with_a_reason(struct sb_request *request)
{
    sb_fail(request, -EIO, "a first reason");
    return sb_fail(request, -EACCES, "the answer %d is wrong", 41);
}

Test(request, a_handler_says_why_it_fails)
{
    static const struct sb_handler handler = { .name = "fails", .handle = fails_with_a_reason };
    ASK(sb_tcp_server, "127.0.0.1:0", &handler, "x");
    cr_expect(strstr(logged, "handler fails, handle: the answer 41 is wrong (-13)"), "%s", logged);
}

static int recovers_and_fails_otherwise(struct sb_request *request)
{
    sb_fail(request, -EACCES, "a reason of long ago");
    return -ENOSPC;
}

Test(request, an_old_reason_is_not_given_for_another_error)
{
    static const struct sb_handler handler = { .name = "recovers", .handle = recovers_and_fails_otherwise };
    ASK(sb_tcp_server, "127.0.0.1:0", &handler, "x");
    cr_expect(strstr(logged, "handler recovers, handle: No space left on device (-28)"), "%s", logged);
}

/* --- datagrams ---------------------------------------------------------------------------------------------------- */

static int silent(struct sb_request *request)
{
    char text[16];
    return sb_recv(request, text, sizeof text) < 0 ? -EIO : 0;
}

static int oversized(struct sb_request *request)
{
    static const char data[60000];
    int first = sb_sendall(request, data, 3), second = sb_sendall(request, data, sizeof data);
    int third = sb_sendall(request, data, sizeof data);
    return first == 0 && second == 0 && third == -EMSGSIZE ? 0 : -EPROTO;
}

Test(request, nothing_written_to_a_datagram_means_no_reply)
{
    static const struct sb_handler handler = { .name = "silent", .handle = silent };
    cr_expect_eq(ASK(sb_udp_server, "127.0.0.1:0", &handler, "hello"), 0);
    cr_expect_str_eq(logged, "");
}

Test(request, a_reply_that_outgrows_a_datagram_is_refused_and_keeps_what_it_has)
{
    static const struct sb_handler handler = { .name = "oversized", .handle = oversized };
    cr_expect_eq(ASK(sb_udp_server, "127.0.0.1:0", &handler, "hello"), 60003);
    cr_expect_str_eq(logged, "");
}

Test(request, a_datagram_that_is_cut_off_is_counted_and_logged)
{
    static const struct sb_handler handler = { .name = "silent", .handle = silent };
    struct sb_config config = SB_CONFIG_DEFAULTS;
    struct sb_server *server;
    char option[32];
    snprintf(option, sizeof option, "frame=%s", framing);
    config.log = record;
    config.max_packet_size = 4;
    logged[0] = '\0';
    cr_assert_eq(sb_server_create(sb_udp_server, "127.0.0.1:0", SB_HANDLERS(&handler), &config, &server), 0);
    int fd = dial(server);
    cr_assert_eq(send(fd, "hello", 5, 0), 5);
    cr_assert_eq(sb_server_handle_request(server), 1);
    cr_expect_not_null(strstr(logged, "5 bytes"), "%s", logged);
    cr_expect_eq(sb_scoreboard_totals(sb_server_scoreboard(server)).truncated, 1);
    close(fd);
    sb_server_destroy(server);
}

/* --- time --------------------------------------------------------------------------------------------------------- */

static int times(struct sb_request *request)
{
    char byte;
    int pair[2];
    if (sb_settimeout(request, 20) < 0 || sb_gettimeout(request) != 20 || pipe(pair) < 0)
        return -EPROTO;
    int r = sb_recv(request, &byte, 1) == -ETIMEDOUT ? 0 : -EPROTO;
    if (sb_sleep(request, 1) != 0 || sb_wait_fd(request, pair[0], POLLIN, 20) != -ETIMEDOUT)
        r = -EPROTO;
    if (write(pair[1], "x", 1) != 1 || sb_wait_fd(request, pair[0], POLLIN, -1) != POLLIN)
        r = -EPROTO;
    close(pair[0]);
    close(pair[1]);
    return r < 0 ? r : sb_printf(request, "ok");
}

Test(request, timeouts_are_per_operation_and_descriptors_can_be_waited_for)
{
    static const struct sb_handler handler = { .name = "times", .handle = times };
    struct sb_config config = SB_CONFIG_DEFAULTS;
    struct sb_server *server;
    char option[32];
    snprintf(option, sizeof option, "frame=%s", framing);
    config.log = record;
    logged[0] = '\0';
    cr_assert_eq(sb_server_create(sb_tcp_server, "127.0.0.1:0", SB_HANDLERS(&handler), &config, &server), 0);
    int fd = dial(server);
    cr_assert_eq(sb_server_handle_request(server), 1);
    cr_expect_eq(recv(fd, answer, sizeof answer, 0), 2, "%s", logged);
    close(fd);
    sb_server_destroy(server);
}

static timer_t storm;

static void on_storm(int signo)
{
    (void)signo;
}

/* Signals that keep interrupting a receive must not stretch its timeout for ever. */
static int interrupted(struct sb_request *request)
{
    char byte;
    return sb_settimeout(request, 100) < 0 || sb_recv(request, &byte, 1) != -ETIMEDOUT ? -EPROTO : 0;
}

Test(request, a_timeout_comes_under_a_storm_of_signals)
{
    static const struct sb_handler handler = { .name = "interrupted", .handle = interrupted };
    struct itimerspec often = { .it_interval.tv_nsec = 20000000, .it_value.tv_nsec = 20000000 };
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
    struct sb_config config = SB_CONFIG_DEFAULTS;
    struct sb_server *server;
    char option[32];
    snprintf(option, sizeof option, "frame=%s", framing);
    config.log = record;
    logged[0] = '\0';
    signal(SIGUSR1, on_storm);
    cr_assert_eq(sb_server_create(sb_tcp_server, "127.0.0.1:0", SB_HANDLERS(&handler), &config, &server), 0);
    int fd = dial(server);
    cr_assert_eq(timer_create(CLOCK_MONOTONIC, &event, &storm), 0);
    cr_assert_eq(timer_settime(storm, 0, &often, NULL), 0);
    cr_assert_eq(sb_server_handle_request(server), 1);
    timer_delete(storm);
    cr_expect_str_eq(logged, "");
    close(fd);
    sb_server_destroy(server);
}

/* --- identity ----------------------------------------------------------------------------------------------------- */

static int identity(struct sb_request *request)
{
    struct sb_address local;
    struct sb_credentials peer;
    int nodelay = 0, type = 0;
    socklen_t size = sizeof nodelay;
    if (sb_local_address(request, &local) < 0 || sb_fileno(request) < 0 ||
        sb_getsockopt(request, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
        return -EPROTO;
    if (local.sa.sa_family == AF_INET)
        sb_getsockopt(request, IPPROTO_TCP, TCP_NODELAY, &nodelay, &size);
    int r = sb_peer_credentials(request, &peer);
    return sb_printf(request, "%s %d %d %s %s", sb_address_scheme(&local), nodelay != 0, type == SOCK_STREAM,
                     r == 0 ? peer.pid == getpid() ? "me" : "other" : r == -EOPNOTSUPP ? "none" : "error",
                     strcmp(sb_client_name(request), "") ? "named" : "nameless");
}

Test(request, knows_both_ends)
{
    static const struct sb_handler handler = { .name = "identity", .handle = identity, .disable_nagle_algorithm = 1 };
    ASK(sb_tcp_server, "127.0.0.1:0", &handler, "x");
    cr_expect_str_eq(answer, "tcp 1 1 none named");
    ASK(sb_unix_stream_server, "@switchboard-test-identity", &handler, "x");
    cr_expect_str_eq(answer, "unix 0 1 me named");
    ASK(sb_unix_datagram_server, "@switchboard-test-identity", &handler, "x");
    cr_expect_str_eq(answer, "unixgram 0 0 none named");
}

/* --- versions of IP ----------------------------------------------------------------------------------------------- */

/* Two servers at the same port: one of them has IPv4, the other IPv6 without it. */
static void expect_apart(const char *scheme)
{
    char text[64];
    static const struct sb_handler handler = { .name = "identity", .handle = identity };
    struct sb_config config = SB_CONFIG_DEFAULTS;
    struct sb_server *six, *four;
    config.log = record;
    snprintf(text, sizeof text, "%s6://[::]:0", scheme);
    cr_assert_eq(sb_server_create(NULL, text, SB_HANDLERS(&handler), &config, &six), 0, "%s", logged);
    snprintf(text, sizeof text, "%s6://[::]:", scheme);
    cr_expect(strncmp(sb_server_address(six, 0), text, strlen(text)) == 0, "%s", sb_server_address(six, 0));
    snprintf(text, sizeof text, "%s4://:%s", scheme, strrchr(sb_server_address(six, 0), ':') + 1);
    cr_expect_eq(sb_server_create(NULL, text, SB_HANDLERS(&handler), &config, &four), 0, "%s", logged);
    sb_server_destroy(four);
    sb_server_destroy(six);
}

Test(request, ipv6_without_ipv4_leaves_the_port_to_another)
{
    expect_apart("tcp");
    expect_apart("udp");
}

/* --- setup, handle, finish ---------------------------------------------------------------------------------------- */

static char order[64];
static int fail_in;

static int step(const char *name, int n)
{
    strcat(order, name);
    return fail_in & n ? -EPERM - n : 0;
}

static int on_setup(struct sb_request *request)
{
    (void)request;
    return step("s", 1);
}

static int on_handle(struct sb_request *request)
{
    (void)request;
    return step("h", 2);
}

static int on_finish(struct sb_request *request)
{
    (void)request;
    return step("f", 4);
}

static const struct sb_handler stepper = { .name = "stepper", .setup = on_setup, .handle = on_handle,
                                           .finish = on_finish };

static void expect_steps(int failing, const char *steps, const char *report)
{
    fail_in = failing;
    order[0] = '\0';
    ASK(sb_tcp_server, "127.0.0.1:0", &stepper, "x");
    cr_expect_str_eq(order, steps);
    cr_expect_not_null(strstr(logged, report), "%d: '%s'", failing, logged);
}

Test(request, setup_handle_finish_in_order_and_the_first_error_is_reported)
{
    expect_steps(0, "shf", "");
    cr_expect_str_eq(logged, "");
    expect_steps(1, "s", "handler stepper, setup: ");
    expect_steps(2, "shf", "handler stepper, handle: ");
    expect_steps(4, "shf", "handler stepper, finish: ");
    expect_steps(2 | 4, "shf", "handler stepper, handle: ");
}

Test(request, handle_error_s_text_is_socketserver_s)
{
    fail_in = 2;
    ASK(sb_tcp_server, "127.0.0.1:0", &stepper, "x");
    static const char line[] = "----------------------------------------\n";
    cr_expect_eq(strncmp(logged, line, strlen(line)), 0);
    cr_expect_not_null(strstr(logged, "\nException occurred during processing of request from 127.0.0.1:"));
    cr_expect_str_eq(logged + strlen(logged) - 40, "----------------------------------------");
}
