/* switchboard client: lines in, replies out, over any kind of address. What it promises: switchboard-client(1). */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <switchboard/address.h>
#include "../program.h"
#include "connect.h"
#include "options.h"

#define DATAGRAM_TIMEOUT_MS  5000
#define CHALLENGE_TIMEOUT_MS 10000

/* Why these options cannot be used with datagrams, or NULL. */
static const char *connection_need(const struct client_options *options)
{
    if (options->talk.greeting)
        return "--greeting needs a connection: a datagram server learns of a client by its first datagram";
    if (options->framing.caller != SB_FRAME_NONE || options->framing.server != SB_FRAME_NONE)
        return "--frame needs a connection: a datagram is one message, with no need for a frame";
    if (client_auth_is_wanted(&options->auth))
        return "--auth-key-file and --auth-key-env need a connection: each datagram may come from someone else";
    return NULL;
}

static int authenticate(struct client_options *options, int fd, const struct sb_address *address)
{
    char name[SB_ADDRESS_TEXT_SIZE];
    int timeout_ms = options->talk.timeout_ms < 0 ? CHALLENGE_TIMEOUT_MS : options->talk.timeout_ms;
    int status = client_auth_answer(&options->auth, fd, sb_address_format(address, name), timeout_ms);

    client_auth_close(&options->auth);
    options->talk.authenticated = true;
    return status;
}

static int talk(struct client_options *options, const struct addresses *addresses)
{
    unsigned which;
    int fd = client_connect(addresses, options->connect_timeout_ms, &which);
    if (fd < 0)
        return 1;
    int status = client_auth_is_wanted(&options->auth) ? authenticate(options, fd, &addresses->list[which]) : 0;
    if (status == 0)
        status = client_talk(fd, addresses, which, &options->talk);
    close(fd);
    return status;
}

static int call(struct client_options *options, const struct addresses *addresses)
{
    bool datagrams = addresses->list[0].socktype == SOCK_DGRAM;
    int status = 0;

    if (datagrams && connection_need(options)) {
        fprintf(stderr, "switchboard client: %s\n", connection_need(options));
        return 2;
    }
    if (options->talk.timeout_ms < 0 && datagrams)
        options->talk.timeout_ms = DATAGRAM_TIMEOUT_MS;
    if (client_auth_is_wanted(&options->auth))
        status = client_auth_open(&options->auth);
    if (status == 0)
        status = talk(options, addresses);
    client_auth_close(&options->auth);
    return status;
}

static int run(struct client_options *options)
{
    struct addresses addresses;
    int status = argument_addresses("switchboard client", options->address[0], &addresses);

    if (status != 0)
        return status;
    status = call(options, &addresses);
    free(addresses.list);
    return status;
}

int main(int argc, char **argv)
{
    struct client_options options;

    program_begin("switchboard client");
    client_options_parse(argc, argv, &options);
    int status = run(&options);
    free(options.messages);
    return status;
}
