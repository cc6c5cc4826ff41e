/* chat: the operator at the server's terminal talks with one caller at a time; the others wait in line. */
#include <sys/mman.h>
#include <termios.h>
#include <switchboard/switchboard.h>
#include "terminal.h"
#include "turns.h"

enum { MESSAGE_SIZE = 1024, LINE_SIZE = 4096, TURN_STEP_MS = 100, LOOK_STEP_MS = 200 };

/* Standard input and who has it, for all processes of a server. */
struct terminal {
    struct turns turns;
    bool mid_line;      /* a line is read in part; of whoever has the turn */
};

struct options {
    struct terminal *terminal;
};

struct chat {
    uint64_t ticket;    /* of its place in line; 0: it has none */
    bool has_turn;
    bool told;          /* the operator knows that the caller has ended its side */
};

static struct terminal *find_terminal(const struct sb_request *request)
{
    return ((const struct options *)sb_options(request, &sb_handler))->terminal;
}

static bool is_in_foreground(void)
{
    return tcgetpgrp(STDIN_FILENO) == getpgrp();
}

/* What was typed for a caller that is gone, or for nobody, is not for the next one. In the background of its terminal
 * this would stop the whole server (SIGTTOU). */
static void forget_typed(struct terminal *terminal)
{
    if (is_in_foreground() && tcflush(STDIN_FILENO, TCIFLUSH) == 0)
        terminal->mid_line = false;
}

/* --- the line of callers ------------------------------------------------------------------------------------------ */

static short look_at_caller(const struct sb_request *request)
{
    struct pollfd caller = { .fd = sb_fileno(request), .events = POLLRDHUP };
    return !sb_is_datagram(request) && poll(&caller, 1, 0) > 0 ? caller.revents : 0;
}

static bool is_gone(const struct sb_request *request)
{
    return look_at_caller(request) & (POLLHUP | POLLERR);
}

static int wait_for_turn(struct sb_request *request, uint64_t ticket)
{
    struct turns *turns = &find_terminal(request)->turns;
    int r = 0;
    while (r == 0 && !is_gone(request)) {
        if (turns_before(turns, ticket) == 0)
            return 0;
        r = sb_sleep(request, TURN_STEP_MS);
    }
    return r < 0 ? r : -EPIPE;
}

static int turn_away(struct sb_request *request)
{
    static const char text[] = "Too many callers are waiting for the operator. Please call again later.";
    int r = sb_send_message(request, text, sizeof text - 1);
    return r < 0 ? r : sb_fail(request, -EBUSY, "%d callers wait for the operator already", TURNS_MAX);
}

static int ask_for_patience(struct sb_request *request, int before)
{
    char text[128];
    int size = snprintf(text, sizeof text, "The operator is talking to someone else: %d before you. "
                        "Your next message will be answered.", before);
    return sb_send_message(request, text, size);
}

/* A caller that had to wait got its answer, and will speak again before it listens; a datagram gets no other. */
static int take_turn(struct sb_request *request, bool *ret_answered)
{
    struct chat *chat = sb_instance(request, &sb_handler);
    *ret_answered = false;
    if (chat->has_turn)
        return 0;
    int r = turns_join(&find_terminal(request)->turns, &chat->ticket);
    if (r < 0)
        return turn_away(request);
    *ret_answered = r > 0 && !sb_is_datagram(request);
    r = *ret_answered ? ask_for_patience(request, r) : 0;
    if (r == 0)
        r = wait_for_turn(request, chat->ticket);
    chat->has_turn = r == 0;
    if (r == 0)
        forget_typed(find_terminal(request));
    return r;
}

static void leave(struct sb_request *request)
{
    struct chat *chat = sb_instance(request, &sb_handler);
    turns_leave(&find_terminal(request)->turns, chat->ticket);
    chat->ticket = 0;
}

/* --- the operator ------------------------------------------------------------------------------------------------- */

static int prompt(struct sb_request *request)
{
    return show(request, "%s> ", sb_client_name(request));
}

/* A caller that has only shut down its sending side still listens (nc -N), and looks no different from one that has
 * closed a TCP connection. */
static int check_caller(struct sb_request *request)
{
    struct chat *chat = sb_instance(request, &sb_handler);
    if (is_gone(request)) {
        forget_typed(find_terminal(request));
        int r = show(request, "\n");
        return r < 0 ? r : -EPIPE;
    }
    if (!(look_at_caller(request) & POLLRDHUP) || chat->told)
        return 0;
    chat->told = true;
    int r = show(request, "\n%s has ended its side and may be gone; it can still be answered\n",
                 sb_client_name(request));
    return r < 0 ? r : prompt(request);
}

static int check_terminal(struct sb_request *request)
{
    if (tcgetpgrp(STDIN_FILENO) >= 0 && !is_in_foreground())
        return sb_fail(request, -EIO, "the operator cannot be reached: the server runs in the background of its "
                       "terminal; bring it to the foreground (fg)");
    return 0;
}

/* The terminal is checked last: a read in the background would stop the whole server (SIGTTIN). */
static int wait_for_operator(struct sb_request *request)
{
    for (;;) {
        int ready = sb_wait_fd(request, STDIN_FILENO, POLLIN, LOOK_STEP_MS);
        int r = ready == -ETIMEDOUT ? check_caller(request) : ready;
        if (r >= 0)
            r = check_terminal(request);
        if (r < 0 || ready >= 0)
            return r;
    }
}

/* 1, 0 at the end of the input, or -errno. */
static int read_byte(struct sb_request *request, char *ret_byte)
{
    for (;;) {
        int r = wait_for_operator(request);
        ssize_t n = r < 0 ? r : read(STDIN_FILENO, ret_byte, 1);
        if (r < 0 || n >= 0)
            return n;
        if (errno != EINTR && errno != EAGAIN)
            return sb_fail(request, -EIO, "cannot read the operator's terminal: %s; start the server in a terminal",
                           strerror(errno));
    }
}

/* Control-D at the keyboard ends one talk, any other end is for good. */
static int end_of_input(struct sb_request *request)
{
    if (isatty(STDIN_FILENO))
        return show(request, "\n");
    return sb_fail(request, -EIO, "the operator is gone: standard input has ended; start the server in a terminal");
}

/* A line without its newline. Returns 1, 0 when the operator ends the talk instead, or -errno. Byte by byte, for what
 * follows is for the next talk, perhaps in another process. */
static int read_line(struct sb_request *request, char *line, size_t *ret_size)
{
    struct terminal *terminal = find_terminal(request);
    bool foreign = terminal->mid_line;      /* the rest of what was for someone else */
    size_t size = 0;
    char byte;
    int r;
    while ((r = read_byte(request, &byte)) > 0) {
        terminal->mid_line = byte != '\n';
        if (byte == '\n' && !foreign)
            break;
        if (!foreign && size++ < LINE_SIZE)
            line[size - 1] = byte;
        foreign &= byte != '\n';
    }
    if (r < 0 || (r == 0 && size == 0))
        return r < 0 ? r : end_of_input(request);
    terminal->mid_line = false;
    *ret_size = size < LINE_SIZE ? size : LINE_SIZE;
    if (size <= LINE_SIZE)
        return 1;
    r = show(request, "a long line: its first %d bytes are sent\n", LINE_SIZE);
    return r < 0 ? r : 1;
}

/* --- the talk ----------------------------------------------------------------------------------------------------- */

/* On a bare connection an empty answer would be no answer at all, and both sides would wait. The turn is given back
 * before the last word is sent: whoever hears that and calls again must not have to wait. */
static int answer(struct sb_request *request, bool *ret_over)
{
    char line[LINE_SIZE];
    size_t size = 0;
    int r;
    do {
        r = prompt(request);
        if (r == 0)
            r = read_line(request, line, &size);
    } while (r > 0 && size == 0 && !sb_is_datagram(request));
    if (r < 0)
        return r;
    *ret_over = r == 0 || sb_is_datagram(request) || (size == 1 && (line[0] == 'q' || line[0] == 'Q'));
    if (*ret_over)
        leave(request);
    return r > 0 ? sb_send_message(request, line, size) : 0;
}

static int show_message(struct sb_request *request, char *message, size_t size)
{
    size = without_newline(message, size);
    make_harmless(message, size, "\n\t");
    return show(request, "%.*s\n", (int)size, message);
}

/* Returns 1 when the operator has ended it, 0 when the caller has, or -errno. */
static int talk(struct sb_request *request)
{
    char message[MESSAGE_SIZE];
    size_t size;
    bool over = false, answered;
    int r = 0;
    while (!over && r >= 0 && (r = sb_recv_message(request, message, sizeof message, &size)) > 0) {
        r = take_turn(request, &answered);
        if (r == 0)
            r = show_message(request, message, size);
        if (r == 0 && !answered)
            r = answer(request, &over);
    }
    return r < 0 ? r : over;
}

static int handle(struct sb_request *request)
{
    const struct chat *chat = sb_instance(request, &sb_handler);
    int r = talk(request);
    bool gone = r == 0 || r == -EPIPE || r == -ECONNRESET;
    if (!gone || sb_is_datagram(request))
        return r < 0 ? r : 0;
    return chat->has_turn ? show(request, "%s is gone\n", sb_client_name(request)) : 0;
}

static int finish(struct sb_request *request)
{
    leave(request);
    return 0;
}

/* --- the server --------------------------------------------------------------------------------------------------- */

static int configure(struct sb_server *server, void *block)
{
    struct options *options = block;
    struct terminal *terminal = mmap(NULL, sizeof *terminal, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int r = terminal == MAP_FAILED ? -errno : turns_init(&terminal->turns);
    if (r < 0) {
        sb_server_log(server, SB_LOG_ERROR, "handler chat: no memory for the line of callers: %s", strerror(-r));
        if (terminal != MAP_FAILED)
            munmap(terminal, sizeof *terminal);
        return r;
    }
    options->terminal = terminal;
    return 0;
}

static void release(void *block)
{
    struct options *options = block;
    turns_finish(&options->terminal->turns);
    munmap(options->terminal, sizeof *options->terminal);
}

static const struct sb_option option_table[] = { SB_FRAME_OPTION, { .name = NULL } };

SB_HANDLER(.name = "chat", .summary = "lets the operator at the server's terminal talk with one caller at a time",
           .traits = SB_CALLER_FIRST,
           .instance_size = sizeof(struct chat), .options_size = sizeof(struct options), .options = option_table,
           .handle = handle, .finish = finish, .configure = configure, .release = release);
