/* One loop watches the socket and the input at once. Whatever arrives is shown first; only in a quiet moment does the
 * client take its next step (advance), and it sends a line only when the one before was answered. */
#include "client_talk.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client_input.h"

#define RECEIVE_SIZE (64 * 1024)

struct client {
    const struct talk_options *options;
    const struct sb_address *address;
    char name[SB_ADDRESS_TEXT_SIZE];
    int fd;
    int64_t deadline_ms;        /* of what it waits for now */

    struct input input;
    unsigned long line_number;  /* of the line last taken; 0: none yet */
    const char *line;           /* in input.bytes, so no input is read before it is sent */
    size_t line_size, sent_size;

    bool sending;               /* a line is on its way out, perhaps an empty datagram */
    bool asked;                 /* a line (or --greeting) waits for the first byte of its reply */
    bool replying;              /* a reply is being printed; last_byte is the last of it */
    char last_byte;
    bool half_closed;           /* the input is over, and the server was told */

    bool done;
    int status;
};

/* Ends the talk with a sentence. */
static void __attribute__((format(printf, 2, 3))) fail(struct client *client, const char *format, ...)
{
    va_list arguments;

    prompt_remove(&client->input);
    fputs("switchboard client: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    client->done = true;
    client->status = 1;
}

/* --- output ------------------------------------------------------------------------------------------------------- */

static void print(struct client *client, const char *bytes, size_t size)
{
    prompt_hide(&client->input);
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

/* --- the talk ----------------------------------------------------------------------------------------------------- */

static bool is_datagram(const struct client *client)
{
    return client->address->socktype == SOCK_DGRAM;
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void restart_timeout(struct client *client)
{
    client->deadline_ms = now_ms() + client->options->timeout_ms;
}

/* What poll(2) may wait for. */
static int remaining_ms(const struct client *client)
{
    bool waits = client->sending || client->asked || client->half_closed;

    if (!waits || client->options->timeout_ms < 0)
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

/* What arrives once a line's first byte is out is taken for its reply. */
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
    while ((client->line = input_next_line(&client->input, &client->line_size))) {
        client->line_number++;
        client->line_size += client->options->newline;
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
    prompt_remove(&client->input);
    if (client->input.terminal)
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
    if (client->input.terminal || (is_datagram(client) && !client->asked)) {
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
    if (client->input.ended && !input_has_line(&client->input))
        return end_input(client);
    if (client->replying) {
        end_reply(client);
        return true;
    }
    return !client->asked && prompt_show(&client->input);
}

/* A terminal's user may try again, unless half a line is out. */
static void timed_out(struct client *client)
{
    end_reply(client);
    if (client->half_closed && !client->asked) {
        client->done = true;
        return;
    }
    bool again = client->input.terminal && !client->sending;
    fail(client, "%s was silent for %g s%s; --timeout=SECONDS waits longer", client->name,
         client->options->timeout_ms / 1000.0, loss(client));
    client->asked = false;
    client->done = !again;
}

static void read_input(struct client *client)
{
    int r = input_read(&client->input);

    if (r == -ENOMEM)
        fail(client, "line %lu is too long: out of memory", client->line_number + 1);
    else if (r < 0)
        fail(client, "cannot read standard input: %s", strerror(-r));
}

/* Handles what happens within timeout_ms. False: nothing did. */
static bool attend(struct client *client, int timeout_ms)
{
    struct pollfd polled[] = {
        { .fd = client->fd, .events = client->sending ? POLLIN | POLLOUT : POLLIN },
        { .fd = !client->sending && input_is_wanted(&client->input) ? STDIN_FILENO : -1, .events = POLLIN },
    };
    int ready = poll(polled, 2, timeout_ms);

    if (ready < 0)
        input_was_interrupted(&client->input);
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

int client_talk(int fd, const struct sb_address *address, const struct talk_options *options)
{
    struct client client = { .options = options, .address = address, .fd = fd, .asked = options->greeting };

    sb_address_format(address, client.name);
    input_open(&client.input);
    restart_timeout(&client);
    while (!client.done)
        if (!attend(&client, 0) && !advance(&client) && !attend(&client, remaining_ms(&client)))
            timed_out(&client);
    input_close(&client.input);
    return client.status;
}
