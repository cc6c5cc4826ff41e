/* One loop watches the socket and the input at once. Whatever arrives is shown first; only in a quiet moment does the
 * client take its next step (advance), and it sends a line only when the one before was answered. */
#include "talk.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../clock.h"
#include "input.h"
#include "outgoing.h"

#define SHOW_PAUSE_MS 100

struct client {
    const struct talk_options *options;
    struct reply_options reply_options;
    const struct sb_address *address;
    char name[SB_ADDRESS_TEXT_SIZE];
    int fd;
    uint64_t end_ns;            /* of what it waits for now */

    struct input input;
    struct outgoing outgoing;
    struct reply reply;
    unsigned long line_number;  /* of the line last taken; 0: none yet */
    const char *line;           /* the input's, so no input is read before it is sent */
    size_t line_size;
    bool says_exit;             /* it is just that word, which need not be answered */
    bool says_quit;             /* it would have been that word, which is not sent */

    bool has_spoken;            /* some line is out, or on its way */
    bool sending;               /* something is on its way out, perhaps an empty datagram */
    bool unsaid;                /* the first byte of a line is not out yet */
    bool asked;                 /* waits for a reply (or the greeting): for its first byte; if it is framed, its last */
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

static void check_output(struct client *client)
{
    if (client->reply.output_error && !client->done)
        fail(client, "cannot write to standard output: %s", strerror(client->reply.output_error));
}

static void end_reply(struct client *client)
{
    reply_end(&client->reply);
    check_output(client);
}

static void leave(struct client *client)
{
    end_reply(client);
    client->done = true;
}

/* --- the talk ----------------------------------------------------------------------------------------------------- */

static bool is_datagram(const struct client *client)
{
    return client->address->socktype == SOCK_DGRAM;
}

static void restart_timeout(struct client *client)
{
    client->end_ns = clock_in_ms((unsigned)client->options->timeout_ms);
}

/* What poll(2) may wait for. */
static int remaining_ms(const struct client *client)
{
    bool waits = client->sending || client->asked || client->input.ended;

    return waits && client->options->timeout_ms >= 0 ? clock_left_ms(client->end_ns) : -1;
}

static bool says(const struct client *client, const char *word)
{
    return client->line_size == strlen(word) && memcmp(client->line, word, client->line_size) == 0;
}

/* How the sentences call what was sent. */
static const char *noun(const struct client *client)
{
    return client->options->messages ? "message" : "line";
}

/* --- what goes wrong ---------------------------------------------------------------------------------------------- */

/* What an error leaves behind: ": line 3 got no reply", or nothing. */
static const char *loss(const struct client *client)
{
    static char text[80];
    bool half = reply_is_unfinished(&client->reply);

    if (!client->asked && !client->sending)
        return "";
    if (client->line_number == 0)
        return half ? ": its message is not complete" : ": its greeting never came";
    if (client->options->one_way) {
        snprintf(text, sizeof text, ": %s %lu was not taken", noun(client), client->line_number);
        return text;
    }
    snprintf(text, sizeof text, ": %s %lu got %s reply", noun(client), client->line_number, half ? "half a" : "no");
    return text;
}

/* A server that was not content with the client's HMAC hangs up and says nothing. */
static const char *suspicion(const struct client *client)
{
    bool silent = client->options->authenticated && client->reply.receives == 0;

    return silent ? "; the key or the digest may be wrong" : "";
}

/* A server that does not frame what it says; or, as the texts' servers, one message, and sends the next bare. */
static const char *frame_hint(const struct client *client)
{
    if (client->reply.messages == 0 && client->reply.decoder.why[0])
        return "; does it frame what it says (-o frame)?";
    bool perhaps_once = client->reply.messages == 1 && !client->reply_options.frame_once;
    return perhaps_once ? "; if it frames only its first message, use --frame-once" : "";
}

static void connection_failed(struct client *client, int error)
{
    end_reply(client);
    if (error == ECONNREFUSED)
        fail(client, "%s refused a datagram: no server receives there; start one with 'switchboard serve upper %s'",
             client->name, client->name);
    else if (error == EMSGSIZE)
        fail(client, "%s %lu has %zu bytes, too many for one datagram to %s", noun(client), client->line_number,
             client->line_size + client->options->newline, client->name);
    else
        fail(client, "the talk with %s broke off: %s%s%s", client->name, strerror(error), loss(client),
             suspicion(client));
}

static void decoding_failed(struct client *client)
{
    end_reply(client);
    fail(client, "%s does not keep to the framing %s: it sent %s%s", client->name,
         sb_frame_name(client->reply_options.frame), client->reply.decoder.why, frame_hint(client));
}

static void cut_off(struct client *client)
{
    end_reply(client);
    fail(client, "%s closed the connection in the middle of a message, after %zu bytes of its %s frame%s", client->name,
         client->reply.decoder.taken, sb_frame_name(client->reply_options.frame), frame_hint(client));
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

/* Finds the next line for sending. On a stream an empty line without a frame is nothing that could be sent. */
static bool take_line(struct client *client)
{
    const struct talk_options *options = client->options;

    while ((client->line = input_next_line(&client->input, &client->line_size))) {
        client->says_quit = client->reply_options.quit && says(client, "quit");
        if (client->says_quit) {
            input_end(&client->input);
            return false;
        }
        client->line_number++;
        if (client->line_size > 0 || options->newline || options->frame != SB_FRAME_NONE || is_datagram(client)) {
            client->says_exit = says(client, "exit");
            return true;
        }
    }
    return false;
}

static void begin_line(struct client *client)
{
    const struct talk_options *options = client->options;

    if (outgoing_set(&client->outgoing, options->frame, client->line, client->line_size, options->newline) < 0) {
        fail(client, "%s %lu has %zu bytes, too many for the framing %s", noun(client), client->line_number,
             client->line_size + options->newline, sb_frame_name(options->frame));
        return;
    }
    client->has_spoken = client->sending = client->unsaid = true;
}

/* To the decoder's question. */
static void answer(struct client *client, const char *text)
{
    if (client->half_closed)
        fail(client, "%s waits for `%s`, but the input is over and nothing can be sent any more", client->name, text);
    else if (outgoing_add(&client->outgoing, text) < 0)
        fail(client, "%s does not wait for `%s` between a length and the next", client->name, text);
    else
        client->sending = true;
}

/* What arrives once a line's first byte is out is taken for its reply. */
static void send_outgoing(struct client *client)
{
    if (client->unsaid)
        end_reply(client);
    int r = outgoing_send(&client->outgoing, client->fd);
    if (r == -EAGAIN || r == -EINTR)
        return;
    if (r < 0 && r != -EPIPE) {
        connection_failed(client, -r);
        return;
    }
    client->asked |= client->unsaid && !client->options->one_way;
    client->unsaid = false;
    client->sending = r == 0 && !outgoing_is_empty(&client->outgoing);
    restart_timeout(client);
    if (r == 0 && !client->sending && client->reply_options.quit && client->says_exit)
        leave(client);
}

/* --- receiving ---------------------------------------------------------------------------------------------------- */

/* Whether something was said, or would have been, that the server did not answer. */
static bool is_unanswered(struct client *client)
{
    if ((client->asked && !client->says_exit) || client->sending)
        return true;
    input_is_left(&client->input);
    client->asked = take_line(client);
    return client->asked || input_is_left(&client->input);
}

/* Whether the server hung up on a client that had not said a word yet, and still might. */
static bool is_turned_away(const struct client *client)
{
    return *suspicion(client) && !client->has_spoken && !client->input.ended;
}

static void peer_closed(struct client *client)
{
    bool unanswered = is_unanswered(client) || is_turned_away(client);

    end_reply(client);
    if (client->done)
        return;
    prompt_remove(&client->input);
    if (client->input.terminal)
        fprintf(stderr, "connection closed by %s%s\n", client->name, suspicion(client));
    else if (unanswered)
        fprintf(stderr, "switchboard client: %s closed the connection%s%s\n", client->name, loss(client),
                suspicion(client));
    client->status |= unanswered;
    client->done = true;
}

static void take_reply(struct client *client, const char *bytes, size_t size)
{
    struct reply *reply = &client->reply;
    int r = reply_take(reply, bytes, size);

    client->asked = reply_is_unfinished(reply) || (client->asked && !reply->complete);
    if (r < 0)
        decoding_failed(client);
    else if (reply->said_quit)
        leave(client);
    else if (reply->answer)
        answer(client, reply->answer);
    if (is_datagram(client))
        end_reply(client);
    check_output(client);
}

static void receive(struct client *client)
{
    static char bytes[CLIENT_RECV_MAX];
    size_t asked_size = client->options->recv_size;
    int flags = MSG_DONTWAIT | (is_datagram(client) ? MSG_TRUNC : 0);

    /* So that what was sent in several steps, one close behind the other, is seen to arrive together. */
    if (client->reply_options.show)
        poll(NULL, 0, SHOW_PAUSE_MS);
    ssize_t size = recv(client->fd, bytes, asked_size, flags);
    if (size < 0) {
        if (errno != EAGAIN && errno != EINTR)
            connection_failed(client, errno);
        return;
    }
    prompt_hide(&client->input);
    if (size == 0 && !is_datagram(client)) {
        reply_take_end(&client->reply);
        if (reply_is_unfinished(&client->reply))
            cut_off(client);
        else
            peer_closed(client);
        return;
    }
    restart_timeout(client);
    take_reply(client, bytes, (size_t)size < asked_size ? (size_t)size : asked_size);
    if ((size_t)size > asked_size && !client->done)
        fail(client, "a reply of %zd bytes from %s was cut off behind %zu", size, client->name, asked_size);
}

/* --- the loop ----------------------------------------------------------------------------------------------------- */

/* A server that wants to hear `ready`, and a client with nothing to say: the server must be the one who speaks. */
static bool only_listens(const struct client *client)
{
    return !client->has_spoken && client->reply.decoder.frame == SB_FRAME_READY;
}

/* Whether nothing more is expected: a terminal's user has seen all, and --message asks for its reply alone. */
static bool has_heard_all(const struct client *client)
{
    bool has_reply = client->options->messages && client->has_spoken && reply_is_framed(&client->reply);

    return client->input.terminal || client->says_quit || is_datagram(client) || has_reply;
}

/* On a stream the server is told, and answers what it has by then. */
static bool end_input(struct client *client)
{
    bool has_end = is_datagram(client) || reply_is_framed(&client->reply);

    if (client->asked && has_end)
        return false;
    if (has_heard_all(client)) {
        leave(client);
        return true;
    }
    if (only_listens(client))
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
        begin_line(client);
        return true;
    }
    if (client->input.ended && !input_has_line(&client->input))
        return end_input(client);
    if (client->reply.is_open && !reply_is_framed(&client->reply)) {
        end_reply(client);
        return true;
    }
    return !client->asked && prompt_show(&client->input);
}

/* A terminal's user may try again, unless half a line is out or half a message has come. */
static void timed_out(struct client *client)
{
    bool again = client->input.terminal && !client->sending && !reply_is_unfinished(&client->reply);

    end_reply(client);
    if (client->input.ended && !client->asked) {
        client->done = true;
        return;
    }
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
        send_outgoing(client);
    return true;
}

static void open_talk(struct client *client)
{
    sb_address_format(client->address, client->name);
    input_open(&client->input, client->options->messages);
    client->reply_options = client->options->reply;
    client->reply_options.quit |= client->input.terminal;
    reply_open(&client->reply, &client->reply_options);
    restart_timeout(client);
}

int client_talk(int fd, const struct sb_address *address, const struct talk_options *options)
{
    struct client client = { .options = options, .address = address, .fd = fd, .asked = options->greeting };

    open_talk(&client);
    while (!client.done)
        if (!attend(&client, 0) && !advance(&client) && !attend(&client, remaining_ms(&client)))
            timed_out(&client);
    reply_close(&client.reply);
    input_close(&client.input);
    return client.status;
}
