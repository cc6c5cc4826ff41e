/* Whole conversations, with a server of each strategy. An input is three characters and pieces: which server, how its
 * handler reads (see modes), how the caller ends it (see ends); a piece is a byte, how long it is and whether all that
 * is due shall be heard before the next (HEAR), and so many bytes. What comes back is known without a server: from the
 * bytes alone, however they were cut in pieces. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <switchboard/switchboard.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"

enum { PIECE_MAX = 63, HEAR = 64, SAID_MAX = 4096, MESSAGE_MAX = 24, LINE_SIZE = 12, PATIENCE_MS = 60000 };

enum mode { MESSAGES, LINES, BYTES, FAILS, MODES };
enum ends { HALF_CLOSE, LEAVE, HALF_CLOSE_AND_LEAVE, ENDS };

static struct house {
    const char *strategy;
    enum sb_frame frame;
    bool forks;                     /* it has a process of its own */
    struct sb_server *server;       /* where it has not */
    pthread_t thread;
    pid_t pid;
    int ready[2];                   /* a pipe */
    char address[64];
} houses[] = {
    { .strategy = "prefork:2", .frame = SB_FRAME_U32, .forks = true },
    { .strategy = "prefork:2+fiber:epoll", .frame = SB_FRAME_NETSTRING, .forks = true },
    { .strategy = "serial", .frame = SB_FRAME_LINE },
    { .strategy = "thread", .frame = SB_FRAME_TEXT2 },
    { .strategy = "pool:2", .frame = SB_FRAME_TEXT8 },
    { .strategy = "prethread:2", .frame = SB_FRAME_NETSTRING },
    { .strategy = "prethread:2+fiber:epoll", .frame = SB_FRAME_I32 },
    { .strategy = "fiber:epoll", .frame = SB_FRAME_LINE },
    { .strategy = "fiber", .frame = SB_FRAME_U32 },    /* over io_uring, where the system lets us */
    { .strategy = "fork", .frame = SB_FRAME_I32, .forks = true },
};
enum { HOUSES = sizeof houses / sizeof *houses, FORK = HOUSES - 1 };

static void capitalize(char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (text[i] >= 'a' && text[i] <= 'z')
            text[i] -= 'a' - 'A';
}

/* --- the handler -------------------------------------------------------------------------------------------------- */

static int answer_messages(struct sb_request *request)
{
    char message[MESSAGE_MAX];
    size_t size;
    int r;
    while ((r = sb_recv_message(request, message, sizeof message, &size)) > 0) {
        capitalize(message, size);
        r = sb_send_message(request, message, size);
        if (r < 0)
            return r;
    }
    return r;
}

static int answer_lines(struct sb_request *request)
{
    char line[LINE_SIZE];
    ssize_t r;
    while ((r = sb_readline(request, line, sizeof line)) > 0) {
        REQUIRE(r < LINE_SIZE && line[r] == '\0');
        capitalize(line, r);
        r = sb_sendall(request, line, r);
        if (r < 0)
            return r;
    }
    return r;
}

static int answer_bytes(struct sb_request *request)
{
    char bytes[7];
    ssize_t r;
    while ((r = sb_recv(request, bytes, sizeof bytes)) > 0) {
        capitalize(bytes, r);
        r = sb_sendall(request, bytes, r);
        if (r < 0)
            return r;
    }
    return r;
}

static int handle(struct sb_request *request)
{
    char mode;
    ssize_t r = sb_recv(request, &mode, 1);
    if (r <= 0)
        return r;
    return mode == MESSAGES ? answer_messages(request) : mode == LINES ? answer_lines(request)
           : mode == BYTES ? answer_bytes(request) : sb_fail(request, -EPROTO, "as was asked for");
}

static const struct sb_option option_table[] = { SB_FRAME_OPTION, { .name = NULL } };
static const struct sb_handler handler = {
    .abi_version = SB_ABI_VERSION, .struct_size = sizeof handler, .name = "conversation", .traits = SB_CALLER_FIRST,
    .options = option_table, .handle = handle,
};

/* --- the servers -------------------------------------------------------------------------------------------------- */

static void say_nothing(void *data, enum sb_log_level level, const char *text)
{
    (void)data;
    (void)level;
    (void)text;
}

static void tell_ready(void *data)
{
    struct house *house = data;
    REQUIRE(write(house->ready[1], "", 1) == 1);
}

static void make_server(struct house *house)
{
    struct sb_config config = SB_CONFIG_DEFAULTS;
    char option[64];
    snprintf(option, sizeof option, "frame=%s/%s", sb_frame_name(house->frame), sb_frame_name(house->frame));
    config.options = (const char *const[]){ option, NULL };
    config.strategy = house->strategy;
    config.drain_timeout_ms = 0;
    config.log = say_nothing;
    config.ready = tell_ready;
    config.data = house;
    REQUIRE(sb_server_create(NULL, house->address, SB_HANDLERS(&handler), &config, &house->server) == 0);
}

static void *serve(void *argument)
{
    struct house *house = argument;
    REQUIRE(sb_server_serve_forever(house->server) == 0);
    return NULL;
}

static struct sb_server *only;

static void stop_only(int signo)
{
    (void)signo;
    sb_server_stop_now(only);
}

_Noreturn static void be_process(struct house *house, pid_t parent)
{
    make_server(house);
    only = house->server;
    signal(SIGTERM, stop_only);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(1);
    int r = sb_server_serve_forever(only);
    sb_server_destroy(only);
    _exit(r < 0);
}

static void open_house(struct house *house)
{
    char byte;
    snprintf(house->address, sizeof house->address, "unix:@switchboard-fuzz-%d-%td", (int)getpid(), house - houses);
    REQUIRE(pipe(house->ready) == 0);
    pid_t parent = getpid();
    if (house->forks && (house->pid = fork()) == 0)
        be_process(house, parent);
    REQUIRE(!house->forks || house->pid > 0);
    if (!house->forks) {
        make_server(house);
        REQUIRE(pthread_create(&house->thread, NULL, serve, house) == 0);
    }
    REQUIRE(read(house->ready[0], &byte, 1) == 1);
}

static void close_house(struct house *house)
{
    int status = 0;
    if (house->forks) {
        kill(house->pid, SIGTERM);
        REQUIRE(waitpid(house->pid, &status, 0) == house->pid && status == 0);
    } else {
        sb_server_stop_now(house->server);
        pthread_join(house->thread, NULL);
        sb_server_destroy(house->server);
    }
    close(house->ready[0]);
    close(house->ready[1]);
}

static pid_t owner;

static void close_all(void)
{
    for (int i = 0; getpid() == owner && i < HOUSES; i++)
        close_house(&houses[i]);
}

/* Processes first, while there are no threads. */
static void open_all(void)
{
    if (owner)
        return;
    owner = getpid();
    for (int i = 0; i < HOUSES; i++)
        if (houses[i].forks)
            open_house(&houses[i]);
    for (int i = 0; i < HOUSES; i++)
        if (!houses[i].forks)
            open_house(&houses[i]);
    atexit(close_all);
}

/* --- what must come back ------------------------------------------------------------------------------------------ */

struct text {
    char bytes[4 * SAID_MAX];
    size_t size;
};

static void add(struct text *text, const char *bytes, size_t size)
{
    REQUIRE(text->size + size <= sizeof text->bytes);
    memcpy(text->bytes + text->size, bytes, size);
    text->size += size;
}

/* Frames have a fuzzer of their own, which needs no decoder to know what is right. */
static void expect_messages(enum sb_frame frame, const char *said, size_t size, struct text *text)
{
    struct sb_frame_decoder decoder = { .frame = frame, .limit = MESSAGE_MAX };
    char message[MESSAGE_MAX];
    size_t length = 0;
    while (size > 0) {
        struct sb_frame_piece piece;
        struct sb_frame_ends ends;
        ssize_t used = sb_frame_decode(&decoder, said, size, &piece);
        if (used < 0)
            return;
        memcpy(message + length, piece.data, piece.size);
        length += piece.size;
        said += used;
        size -= used;
        if (!piece.last)
            continue;
        capitalize(message, length);
        REQUIRE(sb_frame_encode(frame, message, length, &ends) == 0);
        add(text, ends.head, ends.head_size);
        add(text, message, length);
        add(text, ends.tail, ends.tail_size);
        length = 0;
    }
}

/* As fgets(3): an unfinished piece of a line only once the end is known. */
static size_t whole_lines(const char *said, size_t size, bool ended)
{
    size_t begin = 0;
    for (size_t i = 0; i < size; i++)
        if (said[i] == '\n' || i - begin + 1 == LINE_SIZE - 1)
            begin = i + 1;
    return ended ? size : begin;
}

static void expect(const struct house *house, enum mode mode, const char *said, size_t size, bool ended,
                   struct text *text)
{
    text->size = 0;
    if (mode == MESSAGES)
        expect_messages(house->frame, said, size, text);
    else if (mode != FAILS)
        add(text, said, mode == LINES ? whole_lines(said, size, ended) : size);
    if (mode != MESSAGES)
        capitalize(text->bytes, text->size);
}

/* --- the caller --------------------------------------------------------------------------------------------------- */

struct caller {
    const struct house *house;
    enum mode mode;
    int fd;
    char said[SAID_MAX];
    size_t said_size, heard;
    struct text due;
};

/* Returns what recv(2) does. A server that hangs up with bytes unread resets, when all that it said has been read. */
static ssize_t hear_some(const struct caller *caller, void *bytes, size_t size)
{
    struct pollfd pollfd = { .fd = caller->fd, .events = POLLIN };
    REQUIRE(TEMP_FAILURE_RETRY(poll(&pollfd, 1, PATIENCE_MS)) == 1);    /* libFuzzer has a timer */
    ssize_t r = TEMP_FAILURE_RETRY(recv(caller->fd, bytes, size, 0));
    REQUIRE(r >= 0 || errno == ECONNRESET);
    return r < 0 ? 0 : r;
}

static void hear_due(struct caller *caller, bool ended)
{
    char bytes[SAID_MAX];
    expect(caller->house, caller->mode, caller->said, caller->said_size, ended, &caller->due);
    while (caller->heard < caller->due.size) {
        size_t left = caller->due.size - caller->heard;
        ssize_t r = hear_some(caller, bytes, left < sizeof bytes ? left : sizeof bytes);
        REQUIRE(r > 0 && memcmp(bytes, caller->due.bytes + caller->heard, r) == 0);
        caller->heard += r;
    }
}

/* To a server that has hung up nothing can be said. */
static void say(struct caller *caller, const void *bytes, size_t size)
{
    if (size > 0 && TEMP_FAILURE_RETRY(send(caller->fd, bytes, size, MSG_NOSIGNAL)) < 0)
        REQUIRE(errno == EPIPE || errno == ECONNRESET);
}

static void say_pieces(struct caller *caller, const uint8_t *data, size_t size)
{
    while (size > 0) {
        size_t length = data[0] & PIECE_MAX;
        bool hears = data[0] & HEAR;
        length = length < size - 1 ? length : size - 1;
        if (caller->said_size + length > SAID_MAX)
            return;
        memcpy(caller->said + caller->said_size, data + 1, length);
        caller->said_size += length;
        say(caller, data + 1, length);
        if (hears)
            hear_due(caller, false);
        data += 1 + length;
        size -= 1 + length;
    }
}

static void end(struct caller *caller, enum ends how)
{
    char byte;
    if (how != LEAVE)
        shutdown(caller->fd, SHUT_WR);
    if (how == HALF_CLOSE) {
        hear_due(caller, true);
        REQUIRE(hear_some(caller, &byte, 1) == 0);
    }
    close(caller->fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct caller caller;
    struct sb_address address;
    if (size < 3)
        return 0;
    open_all();
    caller.house = &houses[data[0] == 'f' ? FORK : data[0] % FORK];    /* a process for each takes ten times as long */
    caller.mode = data[1] % MODES;
    caller.said_size = caller.heard = 0;
    REQUIRE(sb_address_parse(caller.house->address, NULL, &address, NULL) == 0);
    caller.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(caller.fd >= 0 && TEMP_FAILURE_RETRY(connect(caller.fd, &address.sa, address.size)) == 0);
    say(&caller, (char[]){ caller.mode }, 1);
    say_pieces(&caller, data + 3, size - 3);
    end(&caller, data[2] % ENDS);
    return 0;
}
