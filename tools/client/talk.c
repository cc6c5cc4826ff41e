/* One loop watches the socket and the input at once. Whatever arrives is shown first; only in a quiet moment does the
 * client take its next step (advance), and it sends a line only when the one before was answered. */
#include "talk.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "../clock.h"
#include "receiving.h"
#include "sending.h"
#include "trouble.h"

#define LEAVE_MS 500

/* What poll(2) may wait for. */
static int remaining_ms(const struct client *client)
{
    bool waits = client->sending || client->asked || client->input.ended;

    return waits && client->options->timeout_ms >= 0 ? clock_left_ms(client->end_ns) : -1;
}

/* A server that wants to hear `ready`, and a client with nothing to say: the server must be the one who speaks. */
static bool only_listens(const struct client *client)
{
    return !client->has_spoken && client->reply.decoder.frame == SB_FRAME_READY;
}

/* Whether nothing more is expected: a terminal's user has seen all, and --message asks for its reply alone. */
static bool has_heard_all(const struct client *client)
{
    bool has_reply = client->options->messages && client->has_spoken && reply_is_framed(&client->reply);

    return client->input.terminal || client->says_quit || client_is_datagram(client) || has_reply;
}

/* On a stream the server is told, and answers what it has by then. */
static bool end_input(struct client *client)
{
    bool has_end = client_is_datagram(client) || reply_is_framed(&client->reply);

    if (client->asked && has_end)
        return false;
    if (has_heard_all(client)) {
        client_leave(client);
        return true;
    }
    if (only_listens(client))
        return false;
    shutdown(client->fd, SHUT_WR);
    client->half_closed = true;
    client_restart_timeout(client);
    return true;
}

/* The next step of the client's own, when nothing has arrived. False: it has to wait. */
static bool advance(struct client *client)
{
    if (client->sending || client->half_closed)
        return false;
    if (!client->asked && sending_take_line(client)) {
        sending_begin_line(client);
        return true;
    }
    if (client->input.ended && !input_has_line(&client->input))
        return end_input(client);
    if (client->reply.is_open && !reply_is_framed(&client->reply)) {
        client_end_reply(client);
        return true;
    }
    return !client->asked && prompt_show(&client->input);
}

/* A terminal's user may try again, unless half a line is out or half a message has come. */
static void timed_out(struct client *client)
{
    bool again = client->input.terminal && !client->sending && !reply_is_unfinished(&client->reply);

    client_end_reply(client);
    if (client->input.ended && !client->asked) {
        client->done = true;
        return;
    }
    client_fail(client, "%s was silent for %g s%s; --timeout=SECONDS waits longer", client->name,
                client->options->timeout_ms / 1000.0, trouble_loss(client));
    client->asked = false;
    client->done = !again;
}

static void read_input(struct client *client)
{
    int r = input_read(&client->input);

    if (r == -ENOMEM)
        client_fail(client, "line %lu is too long: out of memory", client->line_number + 1);
    else if (r < 0)
        client_fail(client, "cannot read standard input: %s", strerror(-r));
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
        sending_go_on(client);
    return true;
}

static void open_talk(struct client *client)
{
    sb_address_format(&client->addresses->list[client->which], client->name);
    input_open(&client->input, client->options->messages);
    client->reply_options = client->options->reply;
    client->reply_options.quit |= client->input.terminal;
    reply_open(&client->reply, &client->reply_options);
    client_restart_timeout(client);
}

/* Nobody reads what comes of `exit`. Still there when the connection ends, it would turn that into a reset, which a
 * server takes for an error. */
static void take_leave(const struct client *client)
{
    struct pollfd polled = { .fd = client->fd, .events = POLLIN };
    uint64_t end_ns = clock_in_ms(LEAVE_MS);
    char bytes[4096];

    shutdown(client->fd, SHUT_WR);
    while (poll(&polled, 1, clock_left_ms(end_ns)) > 0 && recv(client->fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        ;
}

int client_talk(int fd, const struct addresses *addresses, unsigned which, const struct talk_options *options)
{
    struct client client = { .options = options, .addresses = addresses, .which = which, .fd = fd,
                             .asked = options->greeting };

    open_talk(&client);
    while (!client.done)
        if (!attend(&client, 0) && !advance(&client) && !attend(&client, remaining_ms(&client)))
            timed_out(&client);
    if (client.says_exit && client.status == 0 && !client_is_datagram(&client))
        take_leave(&client);
    free(client.kept);
    reply_close(&client.reply);
    input_close(&client.input);
    return client.status;
}
