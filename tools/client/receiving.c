#include "receiving.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include "sending.h"
#include "trouble.h"

#define SHOW_PAUSE_MS 100

/* Whether something was said, or would have been, that the server did not answer. */
static bool is_unanswered(struct client *client)
{
    if ((client->asked && !client->says_exit) || client->sending)
        return true;
    input_is_left(&client->input);
    client->asked = sending_take_line(client);
    return client->asked || input_is_left(&client->input);
}

/* Whether the server hung up on a client that had not said a word yet, and still might. */
static bool is_turned_away(const struct client *client)
{
    return *trouble_suspicion(client) && !client->has_spoken && !client->input.ended;
}

static void peer_closed(struct client *client)
{
    bool unanswered = is_unanswered(client) || is_turned_away(client);

    client_end_reply(client);
    if (client->done)
        return;
    prompt_remove(&client->input);
    if (client->input.terminal)
        fprintf(stderr, "connection closed by %s%s\n", client->name, trouble_suspicion(client));
    else if (unanswered)
        fprintf(stderr, "switchboard client: %s closed the connection%s%s\n", client->name, trouble_loss(client),
                trouble_suspicion(client));
    client->status |= unanswered;
    client->done = true;
}

static void take_reply(struct client *client, const char *bytes, size_t size)
{
    struct reply *reply = &client->reply;
    int r = reply_take(reply, bytes, size);

    client->asked = reply_is_unfinished(reply) || (client->asked && !reply->complete);
    if (r < 0)
        trouble_decoding_failed(client);
    else if (reply->said_quit)
        client_leave(client);
    else if (reply->answer)
        sending_answer(client, reply->answer);
    if (client_is_datagram(client))
        client_end_reply(client);
    client_check_output(client);
}

void receive(struct client *client)
{
    static char bytes[CLIENT_RECV_MAX];
    size_t asked_size = client->options->recv_size;
    int flags = MSG_DONTWAIT | (client_is_datagram(client) ? MSG_TRUNC : 0);

    /* So that what was sent in several steps, one close behind the other, is seen to arrive together. */
    if (client->reply_options.show)
        poll(NULL, 0, SHOW_PAUSE_MS);
    ssize_t size = recv(client->fd, bytes, asked_size, flags);
    if (size < 0) {
        int error = errno;
        if (error != EAGAIN && error != EINTR && !sending_moves_on(client, error))
            trouble_connection_failed(client, error);
        return;
    }
    prompt_hide(&client->input);
    if (size == 0 && !client_is_datagram(client)) {
        reply_take_end(&client->reply);
        if (reply_is_unfinished(&client->reply))
            trouble_cut_off(client);
        else
            peer_closed(client);
        return;
    }
    client_restart_timeout(client);
    take_reply(client, bytes, (size_t)size < asked_size ? (size_t)size : asked_size);
    if ((size_t)size > asked_size && !client->done)
        client_fail(client, "a reply of %zd bytes from %s was cut off behind %zu", size, client->name, asked_size);
}
