#include "trouble.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const char *trouble_noun(const struct client *client)
{
    return client->options->messages ? "message" : "line";
}

const char *trouble_loss(const struct client *client)
{
    static char text[80];
    bool half = reply_is_unfinished(&client->reply);

    if (!client->asked && !client->sending)
        return "";
    if (client->line_number == 0)
        return half ? ": its message is not complete" : ": its greeting never came";
    if (client->options->one_way) {
        snprintf(text, sizeof text, ": %s %lu was not taken", trouble_noun(client), client->line_number);
        return text;
    }
    snprintf(text, sizeof text, ": %s %lu got %s reply", trouble_noun(client), client->line_number,
             half ? "half a" : "no");
    return text;
}

const char *trouble_suspicion(const struct client *client)
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

void trouble_connection_failed(struct client *client, int error)
{
    client_end_reply(client);
    if (error == ECONNREFUSED)
        client_fail(client,
                    "%s refused a datagram: no server receives there; start one with 'switchboard serve upper %s'",
                    client->name, client->name);
    else if (error == EMSGSIZE)
        client_fail(client, "%s %lu has %zu bytes, too many for one datagram to %s", trouble_noun(client),
                    client->line_number, client->line_size + client->options->newline, client->name);
    else
        client_fail(client, "the talk with %s broke off: %s%s%s", client->name, strerror(error), trouble_loss(client),
                    trouble_suspicion(client));
}

void trouble_decoding_failed(struct client *client)
{
    client_end_reply(client);
    client_fail(client, "%s does not keep to the framing %s: it sent %s%s", client->name,
                sb_frame_name(client->reply_options.frame), client->reply.decoder.why, frame_hint(client));
}

void trouble_cut_off(struct client *client)
{
    client_end_reply(client);
    client_fail(client, "%s closed the connection in the middle of a message, after %zu bytes of its %s frame%s",
                client->name, client->reply.decoder.taken, sb_frame_name(client->reply_options.frame),
                frame_hint(client));
}
