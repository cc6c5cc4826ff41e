#include "sending.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "connect.h"
#include "trouble.h"

static bool says(const struct client *client, const char *word)
{
    return client->line_size == strlen(word) && memcmp(client->line, word, client->line_size) == 0;
}

/* On a stream an empty line without a frame is nothing that could be sent. */
bool sending_take_line(struct client *client)
{
    const struct talk_options *options = client->options;

    while ((client->line = input_next_line(&client->input, &client->line_size))) {
        client->says_quit = client->reply_options.quit && says(client, "quit");
        if (client->says_quit) {
            input_end(&client->input);
            return false;
        }
        client->line_number++;
        if (client->line_size > 0 || options->newline || options->frame != SB_FRAME_NONE ||
            client_is_datagram(client)) {
            client->says_exit = says(client, "exit");
            return true;
        }
    }
    return false;
}

/* The input may have moved it by the time that it is needed again. */
static void keep_line(struct client *client)
{
    if (client->line == client->kept)
        return;
    free(client->kept);
    client->kept = malloc(client->line_size + 1);
    if (client->kept)
        memcpy(client->kept, client->line, client->line_size);
}

void sending_begin_line(struct client *client)
{
    const struct talk_options *options = client->options;

    if (client_is_datagram(client) && client->which + 1 < client->addresses->count)
        keep_line(client);
    if (outgoing_set(&client->outgoing, options->frame, client->line, client->line_size, options->newline) < 0) {
        client_fail(client, "%s %lu has %zu bytes, too many for the framing %s", trouble_noun(client),
                    client->line_number, client->line_size + options->newline, sb_frame_name(options->frame));
        return;
    }
    client->has_spoken = client->sending = client->unsaid = true;
}

bool sending_moves_on(struct client *client, int error)
{
    bool refused = error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH;

    if (!refused || !client->kept || client->reply.receives > 0 ||
        !client_connect_next(client->fd, client->addresses, &client->which))
        return false;
    sb_address_format(&client->addresses->list[client->which], client->name);
    client->line = client->kept;
    sending_begin_line(client);
    return true;
}

void sending_answer(struct client *client, const char *text)
{
    if (client->half_closed)
        client_fail(client, "%s waits for `%s`, but the input is over and nothing can be sent any more", client->name,
                    text);
    else if (outgoing_add(&client->outgoing, text) < 0)
        client_fail(client, "%s does not wait for `%s` between a length and the next", client->name, text);
    else
        client->sending = true;
}

/* What arrives once a line's first byte is out is taken for its reply. */
void sending_go_on(struct client *client)
{
    if (client->unsaid)
        client_end_reply(client);
    int r = outgoing_send(&client->outgoing, client->fd);
    if (r == -EAGAIN || r == -EINTR)
        return;
    if (r < 0 && sending_moves_on(client, -r))
        return;
    if (r < 0 && r != -EPIPE) {
        trouble_connection_failed(client, -r);
        return;
    }
    client->asked |= client->unsaid && !client->options->one_way;
    client->unsaid = false;
    client->sending = r == 0 && !outgoing_is_empty(&client->outgoing);
    client_restart_timeout(client);
    if (r == 0 && !client->sending && client->reply_options.quit && client->says_exit)
        client_leave(client);
}
