#include "options.h"

#include <stdint.h>
#include "../arguments.h"
#include "load.h"

enum { SEND = 0x100, EXPECT, SLOW, THINK, TIMEOUT };

static void check_options(const struct load_options *options, struct argp_state *state)
{
    if (options->slow >= options->clients)
        argp_failure(state, 2, 0, "--slow=%u leaves no client that asks: give more --clients, there are %u",
                     options->slow, options->clients);
    if (options->think_ms > 0 && options->rate > 0)
        argp_failure(state, 2, 0, "--think and --rate exclude each other: who thinks asks at no fixed rate");
    if (options->answer && !options->question)
        argp_failure(state, 2, 0, "--expect needs the question: give --send too");
}

#define OWN(member) offsetof(struct load_options, member)

static const struct argument argument_table[] = {
    { 'c', ARGUMENT_NUMBER, OWN(clients), 1, LOAD_CLIENTS_MAX },
    { 't', ARGUMENT_SECONDS, OWN(seconds), ARGUMENT_SECONDS_MIN, ARGUMENT_SECONDS_MAX },
    { 'n', ARGUMENT_NUMBER, OWN(requests), 1, UINT32_MAX },
    { 'T', ARGUMENT_FLAG, OWN(talk), 0, 0 },
    { 'r', ARGUMENT_RATE, OWN(rate), 0.001, 1e9 },
    { SLOW, ARGUMENT_NUMBER, OWN(slow), 1, LOAD_CLIENTS_MAX },
    { THINK, ARGUMENT_MS, OWN(think_ms), ARGUMENT_SECONDS_MIN, 1000 },
    { TIMEOUT, ARGUMENT_SECONDS, OWN(timeout), ARGUMENT_SECONDS_MIN, ARGUMENT_SECONDS_MAX },
    { ARGP_KEY_ARG, ARGUMENT_LIST, OWN(address), 0, 1 },
    { 0 },
};

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct load_options *options = state->input;
    switch (key) {
    case SEND:
        argument_bytes(state, "send", value, LOAD_QUESTION_SIZE_MAX, &options->question, &options->question_size);
        return 0;
    case EXPECT:
        argument_bytes(state, "expect", value, ARGUMENT_BYTES_MAX, &options->answer, &options->answer_size);
        return 0;
    case ARGP_KEY_SUCCESS:
        check_options(options, state);
        return 0;
    default:
        return argument_take(argument_table, key, value, state);
    }
}

static const struct argp_option option_list[] = {
    { "clients", 'c', "N", 0, "Clients that ask at the same time (default: 16)", 0 },
    { "seconds", 't', "T", 0, "How long they ask (default: 10)", 0 },
    { "requests", 'n', "N", 0, "How many requests, instead of how long; with both, what comes first", 0 },
    { "talk", 'T', NULL, 0, "A connection for each client, instead of one for each request", 0 },
    { "rate", 'r', "R", 0, "Requests due each second, whatever the server does; otherwise each client waits for its "
      "answer before it asks again", 0 },
    { "think", THINK, "SECONDS", 0, "How long each client rests after an answer before it asks again (default: not)", 0 },
    { "timeout", TIMEOUT, "SECONDS", 0, "How long an answer may take (default: 10)", 0 },
    { "send", SEND, "TEXT", 0, "What is asked, with \\n \\r \\t \\0 \\\\ \\xHH; otherwise lines with a number", 1 },
    { "expect", EXPECT, "TEXT", 0, "What must come back; otherwise what came first, or, without --send, the line in "
      "capitals, as upper answers", 1 },
    { "slow", SLOW, "N", 0, "So many of the clients send a byte now and then, and never finish a line", 1 },
    { 0 },
};

static const struct argp parser = {
    .options = option_list,
    .parser = parse_option,
    .args_doc = "[ADDRESS]",
    .doc = "Asks a server as often as it answers, or at a fixed rate, checks every answer, and shows how long they "
           "took.\vADDRESS is tcp://HOST:PORT, udp://HOST:PORT, unix:PATH, unixgram:PATH or HOST:PORT; "
           "the default is " ARGUMENT_DEFAULT_ADDRESS ".",
};

void load_options_parse(int argc, char **argv, struct load_options *options)
{
    *options = (struct load_options){ .clients = 16, .timeout = 10 };
    argument_parse(&parser, argc, argv, options);
}
