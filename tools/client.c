/* switchboard client: lines in, replies out, over any kind of address. What it promises: switchboard-client(1).
 *
 * One loop watches the socket and the input at once. Whatever arrives is shown first; only in a quiet moment does the
 * client take its next step (advance), and it sends a line only when the one before was answered. */
#include <argp.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <locale.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <readline/history.h>
#include <readline/readline.h>
#include <switchboard/address.h>
#include "commands.h"

#define DEFAULT_ADDRESS     "tcp://127.0.0.1:8081"
#define DATAGRAM_TIMEOUT_MS 5000
#define RECEIVE_SIZE        (64 * 1024)
#define READ_SIZE           (64 * 1024)
#define PROMPT              ">>: "

struct options {
    const char *address;
    int timeout_ms;     /* -1: not given */
    bool greeting;
};

/* What was read and not yet taken: bytes[begin..end). */
struct input {
    char *bytes;
    size_t begin, end, capacity;
    bool ended;
};

struct client {
    struct sb_address address;
    char name[SB_ADDRESS_TEXT_SIZE];
    int fd;
    int timeout_ms;             /* for a reply; -1: none */
    int64_t deadline_ms;        /* of what it waits for now */
    bool terminal;

    struct input input;
    unsigned long line_number;  /* of the line last taken; 0: none yet */
    const char *line;           /* in input.bytes, so no input is read before it is sent */
    size_t line_size, sent_size;

    bool sending;               /* a line is on its way out, perhaps an empty datagram */
    bool asked;                 /* a line (or --greeting) waits for the first byte of its reply */
    bool replying;              /* a reply is being printed; last_byte is the last of it */
    char last_byte;
    bool half_closed;           /* the input is over, and the server was told */
    bool prompt_installed, prompt_visible;

    bool done;
    int status;
};

/* The prompt. Readline's callback takes no argument, so the client that reads by it is kept here. */

static struct client *prompting;

static void hide_prompt(struct client *client)
{
    if (client->prompt_visible)
        rl_clear_visible_line();
    client->prompt_visible = false;
}

static void remove_prompt(struct client *client)
{
    hide_prompt(client);
    if (client->prompt_installed)
        rl_callback_handler_remove();
    client->prompt_installed = false;
}

/* Ends the talk with a sentence. */
static void __attribute__((format(printf, 2, 3))) fail(struct client *client, const char *format, ...)
{
    va_list arguments;

    remove_prompt(client);
    fputs("switchboard client: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    client->done = true;
    client->status = 1;
}

/* Input: both sources fill the same buffer with lines. */

static bool reserve(struct input *input, size_t size)
{
    size_t held = input->end - input->begin;

    if (held > 0)
        memmove(input->bytes, input->bytes + input->begin, held);
    input->begin = 0;
    input->end = held;
    if (input->capacity - held >= size)
        return true;
    size_t capacity = 2 * input->capacity + size;
    char *bytes = realloc(input->bytes, capacity);
    if (!bytes)
        return false;
    input->bytes = bytes;
    input->capacity = capacity;
    return true;
}

static bool has_line(const struct input *input)
{
    size_t held = input->end - input->begin;

    return held > 0 && (input->ended || memchr(input->bytes + input->begin, '\n', held));
}

/* The next line without its newline; the last one may lack it. NULL: there is none yet. */
static const char *next_line(struct input *input, size_t *ret_size)
{
    size_t held = input->end - input->begin;

    if (!has_line(input))
        return NULL;
    const char *line = input->bytes + input->begin;
    const char *newline = memchr(line, '\n', held);
    *ret_size = newline ? (size_t)(newline - line) : held;
    input->begin += *ret_size + (newline ? 1 : 0);
    return line;
}

static void read_pipe(struct client *client)
{
    struct input *input = &client->input;

    if (!reserve(input, READ_SIZE)) {
        fail(client, "line %lu is too long: out of memory", client->line_number + 1);
        return;
    }
    ssize_t size = read(STDIN_FILENO, input->bytes + input->end, READ_SIZE);
    if (size > 0)
        input->end += (size_t)size;
    else if (size == 0)
        input->ended = true;
    else if (errno != EINTR && errno != EAGAIN)
        fail(client, "cannot read standard input: %s", strerror(errno));
}

/* Python's str.strip() for ASCII. Returns the first byte that stays. */
static char *strip(char *text)
{
    size_t size = strlen(text);

    while (size > 0 && isspace((unsigned char)text[size - 1]))
        size--;
    text[size] = '\0';
    return text + strspn(text, " \t\n\v\f\r");
}

static void accept_typed(struct client *client, const char *line)
{
    struct input *input = &client->input;
    size_t size = strlen(line);

    if (!reserve(input, size + 1)) {
        fail(client, "out of memory");
        return;
    }
    memcpy(input->bytes + input->end, line, size);
    input->bytes[input->end + size] = '\n';
    input->end += size + 1;
    add_history(line);
}

static void end_typing(struct client *client)
{
    putchar('\n');
    client->input.ended = true;
}

/* An empty line leaves the handler in place, so readline asks again. */
static void line_typed(char *text)
{
    struct client *client = prompting;
    char *line = text ? strip(text) : NULL;

    if (line && !*line) {
        free(text);
        return;
    }
    client->prompt_visible = false;
    remove_prompt(client);
    if (line)
        accept_typed(client, line);
    else
        end_typing(client);
    free(text);
}

/* Shows the prompt, with what was typed so far. False: there is nothing to show. */
static bool show_prompt(struct client *client)
{
    if (!client->terminal || client->asked || client->prompt_visible)
        return false;
    prompting = client;
    if (client->prompt_installed)
        rl_forced_update_display();
    else
        rl_callback_handler_install(PROMPT, line_typed);
    client->prompt_installed = client->prompt_visible = true;
    return true;
}

static bool wants_input(const struct client *client)
{
    if (client->terminal)
        return client->prompt_visible;
    return !client->input.ended && !client->sending && !has_line(&client->input);
}

static void read_input(struct client *client)
{
    if (client->terminal)
        rl_callback_read_char();
    else
        read_pipe(client);
}

/* Output. */

static void print(struct client *client, const char *bytes, size_t size)
{
    hide_prompt(client);
    if (fwrite(bytes, 1, size, stdout) < size || fflush(stdout) == EOF)
        fail(client, "cannot write to standard output: %s", strerror(errno));
    client->last_byte = size > 0 ? bytes[size - 1] : '\0';
    client->replying = true;
}

/* A reply that does not end its line is given a newline. */
static void end_reply(struct client *client)
{
    if (client->replying && client->last_byte != '\n')
        print(client, "\n", 1);
    client->replying = false;
}

/* The talk. */

static bool is_datagram(const struct client *client)
{
    return client->address.socktype == SOCK_DGRAM;
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void restart_timeout(struct client *client)
{
    client->deadline_ms = now_ms() + client->timeout_ms;
}

/* What poll(2) may wait for. */
static int remaining_ms(const struct client *client)
{
    bool waits = client->sending || client->asked || client->half_closed;

    if (!waits || client->timeout_ms < 0)
        return -1;
    int64_t remaining = client->deadline_ms - now_ms();
    return remaining > 0 ? (int)remaining : 0;
}

/* What an error leaves behind: ": line 3 got no reply", or nothing. */
static const char *loss(const struct client *client)
{
    static char text[48];

    if (!client->asked && !client->sending)
        return "";
    if (client->line_number == 0)
        return ": its greeting never came";
    snprintf(text, sizeof text, ": line %lu got no reply", client->line_number);
    return text;
}

static void connection_failed(struct client *client, int error)
{
    end_reply(client);
    if (error == ECONNREFUSED)
        fail(client, "%s refused a datagram: no server receives there; start one with 'switchboard serve upper %s'",
             client->name, client->name);
    else if (error == EMSGSIZE)
        fail(client, "line %lu has %zu bytes, too many for one datagram to %s", client->line_number,
             client->line_size, client->name);
    else
        fail(client, "the talk with %s broke off: %s%s", client->name, strerror(error), loss(client));
}

/* A line is sent without its newline. What arrives once its first byte is out is taken for its reply. */
static void send_line(struct client *client)
{
    if (client->sent_size == 0)
        end_reply(client);
    ssize_t size = send(client->fd, client->line + client->sent_size, client->line_size - client->sent_size,
                        MSG_NOSIGNAL | MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size < 0 && errno != EPIPE) {
        connection_failed(client, errno);
        return;
    }
    if (client->sent_size == 0)
        client->asked = true;
    client->sent_size += size > 0 ? (size_t)size : 0;
    client->sending = size >= 0 && client->sent_size < client->line_size;
    restart_timeout(client);
}

/* Prepares the next line for sending. On a stream an empty line is nothing that could be sent. */
static bool take_line(struct client *client)
{
    while ((client->line = next_line(&client->input, &client->line_size))) {
        client->line_number++;
        client->sent_size = 0;
        if (client->line_size > 0 || is_datagram(client))
            return true;
    }
    return false;
}

static void peer_closed(struct client *client)
{
    bool unanswered = client->asked || client->sending || take_line(client);

    client->asked = unanswered;
    end_reply(client);
    remove_prompt(client);
    if (client->terminal)
        fprintf(stderr, "connection closed by %s\n", client->name);
    else if (unanswered)
        fprintf(stderr, "switchboard client: %s closed the connection%s\n", client->name, loss(client));
    client->status |= unanswered;
    client->done = true;
}

static void receive(struct client *client)
{
    static char bytes[RECEIVE_SIZE];
    int flags = MSG_DONTWAIT | (is_datagram(client) ? MSG_TRUNC : 0);
    ssize_t size = recv(client->fd, bytes, sizeof bytes, flags);

    if (size < 0) {
        if (errno != EAGAIN && errno != EINTR)
            connection_failed(client, errno);
        return;
    }
    if (size == 0 && !is_datagram(client)) {
        peer_closed(client);
        return;
    }
    client->asked = false;
    restart_timeout(client);
    print(client, bytes, (size_t)size < sizeof bytes ? (size_t)size : sizeof bytes);
    if (is_datagram(client))
        end_reply(client);
    if ((size_t)size > sizeof bytes)
        fail(client, "a reply of %zd bytes from %s was cut off behind %zu", size, client->name, sizeof bytes);
}

/* On a stream the server is told, and answers what it has by then; a terminal's user has seen all and leaves. */
static bool end_input(struct client *client)
{
    if (client->terminal || (is_datagram(client) && !client->asked)) {
        end_reply(client);
        client->done = true;
        return true;
    }
    if (is_datagram(client))
        return false;
    shutdown(client->fd, SHUT_WR);
    client->half_closed = true;
    restart_timeout(client);
    return true;
}

/* The next step of the client's own, when nothing has arrived. False: it has to wait. */
static bool advance(struct client *client)
{
    if (client->sending || client->half_closed)
        return false;
    if (!client->asked && take_line(client)) {
        client->sending = true;
        return true;
    }
    if (client->input.ended && !has_line(&client->input))
        return end_input(client);
    if (client->replying) {
        end_reply(client);
        return true;
    }
    return show_prompt(client);
}

/* A terminal's user may try again, unless half a line is out. */
static void timed_out(struct client *client)
{
    end_reply(client);
    if (client->half_closed && !client->asked) {
        client->done = true;
        return;
    }
    bool again = client->terminal && !client->sending;
    fail(client, "%s was silent for %g s%s; --timeout=SECONDS waits longer", client->name,
         client->timeout_ms / 1000.0, loss(client));
    client->asked = false;
    client->done = !again;
}

/* Handles what happens within timeout_ms. False: nothing did. */
static bool attend(struct client *client, int timeout_ms)
{
    struct pollfd polled[] = {
        { .fd = client->fd, .events = client->sending ? POLLIN | POLLOUT : POLLIN },
        { .fd = wants_input(client) ? STDIN_FILENO : -1, .events = POLLIN },
    };
    int ready = poll(polled, 2, timeout_ms);

    if (ready < 0 && client->terminal)
        rl_check_signals();
    if (ready <= 0)
        return ready < 0;
    if (polled[1].revents)
        read_input(client);
    if (polled[0].revents & ~POLLOUT)
        receive(client);
    if (!client->done && polled[0].revents & POLLOUT)
        send_line(client);
    return true;
}

static void talk(struct client *client)
{
    while (!client->done)
        if (!attend(client, 0) && !advance(client) && !attend(client, remaining_ms(client)))
            timed_out(client);
}

/* Connecting. */

/* What the errno of connect(2) means for a user. */
static const char *connect_hint(int error)
{
    switch (error) {
    case ECONNREFUSED:
        return ": no server listens there";
    case ENOENT:
        return ": there is no such socket";
    case EPROTOTYPE:
        return ": that socket is of the other kind, unix: is for streams and unixgram: for datagrams";
    default:
        return "";
    }
}

static void connect_failed(struct client *client, int error)
{
    bool is_default = strcmp(client->name, DEFAULT_ADDRESS) == 0;
    char advice[sizeof "; start one with 'switchboard serve upper '" + SB_ADDRESS_TEXT_SIZE] = "";

    if (error == ECONNREFUSED || error == ENOENT)
        snprintf(advice, sizeof advice, "; start one with 'switchboard serve upper%s%s'", is_default ? "" : " ",
                 is_default ? "" : client->name);
    fail(client, "cannot connect to %s: %s%s%s", client->name, strerror(error), connect_hint(error), advice);
}

/* A Unix datagram server can only answer a socket that has a name: the kernel chooses one (unix(7), autobind). */
static int autobind(int fd)
{
    struct sockaddr unnamed = { .sa_family = AF_UNIX };

    return bind(fd, &unnamed, sizeof unnamed.sa_family);
}

static void connect_to_server(struct client *client)
{
    const struct sb_address *address = &client->address;
    bool unixgram = is_datagram(client) && address->sa.sa_family == AF_UNIX;

    client->fd = socket(address->sa.sa_family, address->socktype | SOCK_CLOEXEC, 0);
    if (client->fd < 0 || (unixgram && autobind(client->fd) < 0))
        fail(client, "cannot make a socket for %s: %s", client->name, strerror(errno));
    else if (connect(client->fd, &address->sa, address->size) < 0)
        connect_failed(client, errno);
}

/* The command. */

static int parse_timeout_ms(const char *text)
{
    char *end;
    double seconds = strtod(text, &end);

    if (end == text || *end || !(seconds >= 0.001 && seconds <= INT_MAX / 1000))
        return -1;
    return (int)(seconds * 1000);
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct options *options = state->input;

    switch (key) {
    case 't':
        options->timeout_ms = parse_timeout_ms(value);
        if (options->timeout_ms < 0)
            argp_failure(state, 2, 0, "--timeout=%s is no time: give seconds, 0.001 or more", value);
        return 0;
    case 'g':
        options->greeting = true;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 0)
            argp_failure(state, 2, 0, "'%s' is one ADDRESS too many: a client talks to one server", value);
        options->address = value;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option option_list[] = {
    { "timeout", 't', "SECONDS", 0, "Longest wait for a reply (default: 5 for datagrams, no limit for streams)", 0 },
    { "greeting", 'g', NULL, 0, "The server speaks first: wait for that before the first line is sent", 0 },
    { 0 },
};

static const struct argp parser = {
    .options = option_list,
    .parser = parse_option,
    .args_doc = "[ADDRESS]",
    .doc = "Sends lines to a server and prints its replies: with a prompt on a terminal, plainly in a pipe.\v"
           "ADDRESS is tcp://HOST:PORT, udp://HOST:PORT, unix:PATH, unixgram:PATH or HOST:PORT; "
           "the default is " DEFAULT_ADDRESS ".",
};

/* Returns the exit status that a bad address deserves, 0 for a good one. */
static int parse_address(const char *text, struct sb_address *ret_address)
{
    const char *why = NULL;
    int r = sb_address_parse(text, NULL, ret_address, &why);

    if (r == 0)
        return 0;
    fprintf(stderr, "switchboard client: address '%s': %s\n", text, why ? why : strerror(-r));
    return r == -EINVAL || r == -ENAMETOOLONG ? 2 : 1;
}

static void prepare_terminal(void)
{
    setlocale(LC_CTYPE, "");
    rl_readline_name = "switchboard";
    rl_persistent_signal_handlers = 1;  /* else ^C between two keys would leave the terminal raw */
    rl_bind_key('\t', rl_insert);
}

/* A socket that became descriptor 0 or 1 because that was closed would be talked to by itself. */
static void fill_standard_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

static void run(struct client *client, const struct options *options)
{
    int default_timeout_ms = is_datagram(client) ? DATAGRAM_TIMEOUT_MS : -1;

    sb_address_format(&client->address, client->name);
    if (options->greeting && is_datagram(client)) {
        fail(client, "--greeting needs a connection: a server of %s learns of a client by its first datagram",
             client->name);
        client->status = 2;
        return;
    }
    client->timeout_ms = options->timeout_ms < 0 ? default_timeout_ms : options->timeout_ms;
    client->terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    client->asked = options->greeting;
    restart_timeout(client);
    connect_to_server(client);
    if (client->terminal && !client->done)
        prepare_terminal();
    talk(client);
}

int client_main(int argc, char **argv)
{
    struct options options = { .address = DEFAULT_ADDRESS, .timeout_ms = -1 };
    struct client client = { .fd = -1 };

    fill_standard_descriptors();
    argp_err_exit_status = 2;
    argp_parse(&parser, argc, argv, 0, NULL, &options);
    client.status = parse_address(options.address, &client.address);
    if (client.status == 0)
        run(&client, &options);
    if (client.fd >= 0)
        close(client.fd);
    free(client.input.bytes);
    return client.status;
}
