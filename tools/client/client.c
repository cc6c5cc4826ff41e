#include "client.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "../clock.h"

bool client_is_datagram(const struct client *client)
{
    return client->addresses->list[0].socktype == SOCK_DGRAM;
}

void client_restart_timeout(struct client *client)
{
    client->end_ns = clock_in_ms((unsigned)client->options->timeout_ms);
}

void client_fail(struct client *client, const char *format, ...)
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

void client_check_output(struct client *client)
{
    if (client->reply.output_error && !client->done)
        client_fail(client, "cannot keep a message: %s", strerror(client->reply.output_error));
    if (client->reply.output_lost && !client->done) {
        client->done = true;
        client->status = 1;
    }
}

void client_end_reply(struct client *client)
{
    reply_end(&client->reply);
    client_check_output(client);
}

void client_leave(struct client *client)
{
    client_end_reply(client);
    client->done = true;
}
