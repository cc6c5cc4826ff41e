#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_TIMEOUT_MS 10000
#define LENGTH_DIGITS 20        /* of 2^64, bytes */

enum { FRAME_ONCE = 0x100, RECV_SIZE, QUIT, ONE_WAY, CONNECT_TIMEOUT, AUTH_KEY_FILE, AUTH_KEY_ENV, AUTH_DIGEST };

static struct sb_framing parse_framing(const char *text, struct argp_state *state)
{
    struct sb_framing framing = { .caller = SB_FRAME_NONE };
    const char *why;

    if (sb_framing_parse(text, &framing, &why) < 0)
        argp_failure(state, 2, 0, "--frame=%s: %s", text, why);
    return framing;
}

static void check_messages(const struct client_options *options, struct argp_state *state)
{
    enum sb_frame frame = options->framing.caller;
    struct sb_frame_ends ends;

    for (size_t i = 0; options->messages[i]; i++) {
        const char *message = options->messages[i];
        int r = sb_frame_encode(frame, message, strlen(message) + options->talk.newline, &ends);
        if (r == -EINVAL)
            argp_failure(state, 2, 0, "message %zu holds a newline, where a message framed by %s ends", i + 1,
                         sb_frame_name(frame));
        if (r == -EMSGSIZE)
            argp_failure(state, 2, 0, "message %zu is too long for the framing %s", i + 1, sb_frame_name(frame));
    }
}

/* What makes no sense together. */
static void check_options(const struct client_options *options, struct argp_state *state)
{
    const struct client_auth *auth = &options->auth;

    if (options->talk.reply.frame_once && options->framing.server == SB_FRAME_NONE)
        argp_failure(state, 2, 0, "--frame-once needs a --frame for the server's first message");
    if (options->framing.server == SB_FRAME_READY && options->talk.recv_size < LENGTH_DIGITS)
        argp_failure(state, 2, 0, "--recv-size=%u could cut the length in two that the framing ready sends: give %d "
                     "or more", options->talk.recv_size, LENGTH_DIGITS);
    if (options->talk.newline && options->framing.caller == SB_FRAME_LINE)
        argp_failure(state, 2, 0, "--newline and the framing line both put a newline behind a message: give one");
    if (auth->key_file && auth->key_env)
        argp_failure(state, 2, 0, "--auth-key-file and --auth-key-env both name the key: give one");
    if (auth->digest && !client_auth_is_wanted(auth))
        argp_failure(state, 2, 0, "--auth-digest needs a key: give --auth-key-file or --auth-key-env");
    check_messages(options, state);
}

#define OWN(member) offsetof(struct client_options, member)

static const struct argument argument_table[] = {
    { 't', ARGUMENT_MS, OWN(talk.timeout_ms), ARGUMENT_SECONDS_MIN, ARGUMENT_SECONDS_MAX },
    { 'g', ARGUMENT_FLAG, OWN(talk.greeting), 0, 0 },
    { 'n', ARGUMENT_FLAG, OWN(talk.newline), 0, 0 },
    { ONE_WAY, ARGUMENT_FLAG, OWN(talk.one_way), 0, 0 },
    { FRAME_ONCE, ARGUMENT_FLAG, OWN(talk.reply.frame_once), 0, 0 },
    { 'R', ARGUMENT_FLAG, OWN(talk.reply.show), 0, 0 },
    { RECV_SIZE, ARGUMENT_NUMBER, OWN(talk.recv_size), 1, CLIENT_RECV_MAX },
    { QUIT, ARGUMENT_FLAG, OWN(talk.reply.quit), 0, 0 },
    { CONNECT_TIMEOUT, ARGUMENT_MS, OWN(connect_timeout_ms), ARGUMENT_SECONDS_MIN, ARGUMENT_SECONDS_MAX },
    { AUTH_KEY_FILE, ARGUMENT_TEXT, OWN(auth.key_file), 0, 0 },
    { AUTH_KEY_ENV, ARGUMENT_TEXT, OWN(auth.key_env), 0, 0 },
    { AUTH_DIGEST, ARGUMENT_TEXT, OWN(auth.digest), 0, 0 },
    { ARGP_KEY_ARG, ARGUMENT_LIST, OWN(address), 0, 1 },
    { 0 },
};

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct client_options *options = state->input;

    switch (key) {
    case 'm':
        argument_add(state, "--message", options->messages, options->message_room, value);
        return 0;
    case 'F':
        options->framing = parse_framing(value, state);
        return 0;
    case ARGP_KEY_SUCCESS:
        check_options(options, state);
        return 0;
    default:
        return argument_take(argument_table, key, value, state);
    }
}

static const struct argp_option option_list[] = {
    { "message", 'm', "TEXT", 0, "Send TEXT instead of reading standard input; may be given again", 0 },
    { "greeting", 'g', NULL, 0, "The server speaks first: wait for that before the first line is sent", 0 },
    { "newline", 'n', NULL, 0, "Send a newline behind each line: for handlers that read lines, such as bytes", 0 },
    { "one-way", ONE_WAY, NULL, 0, "The server answers nothing: do not wait for replies, and do not miss them", 0 },
    { "quit", QUIT, NULL, 0, "A line quit or exit, or a reply q, ends the talk, as it does on a terminal", 0 },
    { "timeout", 't', "SECONDS", 0, "Longest wait for a reply (default: 5 for datagrams, no limit for streams)", 0 },
    { "connect-timeout", CONNECT_TIMEOUT, "SECONDS", 0, "Longest wait for the server to be reached (default: 10)", 0 },
    { "frame", 'F', "FRAMING", 0, "How messages are framed, as in the server's -o frame=: text2, text8, ready, i32, "
      "u32, line, netstring, or two of them, CALLER/SERVER", 1 },
    { "frame-once", FRAME_ONCE, NULL, 0, "Only the server's first message is framed", 1 },
    { "show-recv", 'R', NULL, 0, "Show each receive: its number, its length, its bytes", 1 },
    { "recv-size", RECV_SIZE, "BYTES", 0, "What one receive asks for (default: 65536)", 1 },
    { "auth-key-file", AUTH_KEY_FILE, "PATH", 0, "The key to answer the server's challenge with is in this file", 2 },
    { "auth-key-env", AUTH_KEY_ENV, "NAME", 0, "It is in this variable of the environment", 2 },
    { "auth-digest", AUTH_DIGEST, "NAME", 0, "Digest of the answer, an HMAC (default: " CLIENT_AUTH_DIGEST ")", 2 },
    { 0 },
};

static const struct argp parser = {
    .options = option_list,
    .parser = parse_option,
    .args_doc = "[ADDRESS]",
    .doc = "Sends lines to a server and prints its replies: with a prompt on a terminal, plainly in a pipe.\v"
           "ADDRESS is tcp://HOST:PORT, udp://HOST:PORT, unix:PATH, unixgram:PATH or HOST:PORT; "
           "the default is " ARGUMENT_DEFAULT_ADDRESS ".",
};

void client_options_parse(int argc, char **argv, struct client_options *options)
{
    *options = (struct client_options){
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .messages = calloc((size_t)argc + 1, sizeof *options->messages),
        .message_room = argc,
        .talk = { .timeout_ms = -1, .recv_size = CLIENT_RECV_MAX },
    };
    if (!options->messages) {
        fprintf(stderr, "switchboard client: out of memory\n");
        exit(1);
    }
    argument_parse(&parser, argc, argv, options);
    if (!options->auth.digest)
        options->auth.digest = CLIENT_AUTH_DIGEST;
    options->talk.frame = options->framing.caller;
    options->talk.reply.frame = options->framing.server;
    options->talk.messages = options->messages[0] ? options->messages : NULL;
}
