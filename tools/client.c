/* switchboard client: lines in, replies out, over any kind of address. What it promises: switchboard-client(1). */
#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <switchboard/address.h>
#include "client_talk.h"

#define DEFAULT_ADDRESS     "tcp://127.0.0.1:8081"
#define DATAGRAM_TIMEOUT_MS 5000

struct options {
    const char *address;
    struct talk_options talk;   /* timeout_ms -1: not given */
};

/* --- connecting --------------------------------------------------------------------------------------------------- */

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

static void connect_failed(const char *name, int error)
{
    bool is_default = strcmp(name, DEFAULT_ADDRESS) == 0;
    char advice[sizeof "; start one with 'switchboard serve upper '" + SB_ADDRESS_TEXT_SIZE] = "";

    if (error == ECONNREFUSED || error == ENOENT)
        snprintf(advice, sizeof advice, "; start one with 'switchboard serve upper%s%s'", is_default ? "" : " ",
                 is_default ? "" : name);
    fprintf(stderr, "switchboard client: cannot connect to %s: %s%s%s\n", name, strerror(error), connect_hint(error),
            advice);
}

/* A Unix datagram server can only answer a socket that has a name: the kernel chooses one (unix(7), autobind). */
static int autobind(int fd)
{
    struct sockaddr unnamed = { .sa_family = AF_UNIX };

    return bind(fd, &unnamed, sizeof unnamed.sa_family);
}

/* Returns the connected socket, or -1 when it has said why there is none. */
static int connect_to_server(const struct sb_address *address)
{
    char name[SB_ADDRESS_TEXT_SIZE];
    bool unixgram = address->socktype == SOCK_DGRAM && address->sa.sa_family == AF_UNIX;
    int fd = socket(address->sa.sa_family, address->socktype | SOCK_CLOEXEC, 0);

    sb_address_format(address, name);
    if (fd < 0 || (unixgram && autobind(fd) < 0))
        fprintf(stderr, "switchboard client: cannot make a socket for %s: %s\n", name, strerror(errno));
    else if (connect(fd, &address->sa, address->size) < 0)
        connect_failed(name, errno);
    else
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* --- the command -------------------------------------------------------------------------------------------------- */

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
        options->talk.timeout_ms = parse_timeout_ms(value);
        if (options->talk.timeout_ms < 0)
            argp_failure(state, 2, 0, "--timeout=%s is no time: give seconds, 0.001 or more", value);
        return 0;
    case 'g':
        options->talk.greeting = true;
        return 0;
    case 'n':
        options->talk.newline = true;
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
    { "newline", 'n', NULL, 0, "Send a newline behind each line: for handlers that read lines, such as bytes", 0 },
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

static int talk(const struct sb_address *address, struct talk_options options)
{
    bool is_datagram = address->socktype == SOCK_DGRAM;

    if (options.greeting && is_datagram) {
        fprintf(stderr, "switchboard client: --greeting needs a connection: a datagram server learns of a client by "
                "its first datagram\n");
        return 2;
    }
    if (options.timeout_ms < 0 && is_datagram)
        options.timeout_ms = DATAGRAM_TIMEOUT_MS;
    int fd = connect_to_server(address);
    if (fd < 0)
        return 1;
    int status = client_talk(fd, address, &options);
    close(fd);
    return status;
}

int main(int argc, char **argv)
{
    struct options options = { .address = DEFAULT_ADDRESS, .talk.timeout_ms = -1 };
    struct sb_address address;

    argp_err_exit_status = 2;
    argp_parse(&parser, argc, argv, 0, NULL, &options);
    int status = parse_address(options.address, &address);
    return status == 0 ? talk(&address, options.talk) : status;
}
