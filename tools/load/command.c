/* switchboard load: many clients, every answer checked. What it promises: switchboard-load(1). */
#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <switchboard/address.h>
#include "../arguments.h"
#include "../text.h"
#include "load.h"
#include "report.h"
#include "watch.h"

#define DEFAULT_ADDRESS "tcp://127.0.0.1:8081"
#define DRIP_MS         200
#define SECONDS_MAX     1000000000.0

struct options {
    const char *address, *send, *expect;
    double seconds, timeout, rate;      /* seconds 0: not given */
    unsigned clients, slow;
    uint64_t requests;                  /* 0: not given */
    bool talk;
};

/* --- options ------------------------------------------------------------------------------------------------------ */

enum { SEND = 0x100, EXPECT, SLOW, TIMEOUT };

static double parse_seconds(const char *option, const char *text, struct argp_state *state)
{
    char *end;
    double seconds = strtod(text, &end);
    if (end == text || *end || !(seconds >= 0.001 && seconds <= SECONDS_MAX))
        argp_failure(state, 2, 0, "%s=%s is no time: give seconds, 0.001 or more", option, text);
    return seconds;
}

static uint64_t parse_number(const char *option, const char *text, uint64_t max, struct argp_state *state)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno != 0 || number < 1 || number > max)
        argp_failure(state, 2, 0, "%s=%s: give a number from 1 to %llu", option, text, (unsigned long long)max);
    return number;
}

static double parse_rate(const char *text, struct argp_state *state)
{
    char *end;
    double rate = strtod(text, &end);
    if (end == text || *end || !(rate >= 0.001 && rate <= 1e9))
        argp_failure(state, 2, 0, "--rate=%s is no rate: give requests for each second, such as 1000", text);
    return rate;
}

static void check_options(const struct options *options, struct argp_state *state)
{
    if (options->slow >= options->clients)
        argp_failure(state, 2, 0, "--slow=%u leaves no client that asks: give more --clients, there are %u",
                     options->slow, options->clients);
    if (options->expect && !options->send)
        argp_failure(state, 2, 0, "--expect needs the question: give --send too");
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case 'c':
        options->clients = (unsigned)parse_number("--clients", value, LOAD_CLIENTS_MAX, state);
        return 0;
    case 't':
        options->seconds = parse_seconds("--seconds", value, state);
        return 0;
    case 'n':
        options->requests = parse_number("--requests", value, UINT32_MAX, state);
        return 0;
    case 'T':
        options->talk = true;
        return 0;
    case 'r':
        options->rate = parse_rate(value, state);
        return 0;
    case SEND:
        options->send = value;
        return 0;
    case EXPECT:
        options->expect = value;
        return 0;
    case SLOW:
        options->slow = (unsigned)parse_number("--slow", value, LOAD_CLIENTS_MAX, state);
        return 0;
    case TIMEOUT:
        options->timeout = parse_seconds("--timeout", value, state);
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 0)
            argp_failure(state, 2, 0, "'%s' is one ADDRESS too many: a load is for one server", value);
        options->address = value;
        return 0;
    case ARGP_KEY_SUCCESS:
        check_options(options, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option option_list[] = {
    { "clients", 'c', "N", 0, "Clients that ask at the same time (default: 16)", 0 },
    { "seconds", 't', "T", 0, "How long they ask (default: 10)", 0 },
    { "requests", 'n', "N", 0, "How many requests, instead of how long; with both, what comes first", 0 },
    { "talk", 'T', NULL, 0, "A connection for each client, instead of one for each request", 0 },
    { "rate", 'r', "R", 0, "Requests due each second, whatever the server does; otherwise each client waits for its "
      "answer before it asks again", 0 },
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
           "the default is " DEFAULT_ADDRESS ".",
};

/* --- the plan ----------------------------------------------------------------------------------------------------- */

static int parse_text(const char *option, const char *text, size_t max, char **ret_bytes, size_t *ret_size)
{
    int r = text_unescape(text, ret_bytes, ret_size);
    if (r == 0 && *ret_size >= 1 && *ret_size <= max)
        return 0;
    if (r == 0)
        fprintf(stderr, "switchboard load: %s has %zu bytes: give from 1 to %zu\n", option, *ret_size, max);
    else if (r == -EINVAL)
        fprintf(stderr, "switchboard load: %s=%s: behind a backslash stands n, r, t, 0, another backslash, or x and "
                "two hexadecimal digits\n", option, text);
    else
        fprintf(stderr, "switchboard load: %s: %s\n", option, strerror(-r));
    return r < 0 && r != -EINVAL ? 1 : 2;
}

static void say_not_learned(const char *address, int error)
{
    const char *advice = error == ECONNREFUSED || error == ENOENT ? ": no server listens there"
                         : error == ETIMEDOUT ? ": if it waits for more, --send ends too early, perhaps it lacks \\n"
                         : error == ENODATA ? ": it ended the connection; --expect=TEXT says what should come" : "";
    fprintf(stderr, "switchboard load: no first answer from %s, which would be the measure of the others: %s%s\n",
            address, error == ENODATA ? "nothing came" : strerror(error), advice);
}

/* Returns 0 or the exit status. *ret_answer: what plan->dialogue then holds, the caller's to free. */
static int find_answer(const struct options *options, const char *address, struct load_plan *plan, char **ret_answer)
{
    struct load_dialogue *dialogue = &plan->dialogue;
    int timeout_ms = options->timeout < INT_MAX / 1000 ? (int)(options->timeout * 1000) : INT_MAX;
    int status = 0;
    if (options->expect) {
        status = parse_text("--expect", options->expect, SIZE_MAX, ret_answer, &dialogue->answer_size);
    } else {
        int r = load_learn(&plan->address, dialogue->question, dialogue->question_size, timeout_ms, ret_answer,
                           &dialogue->answer_size);
        if (r < 0)
            say_not_learned(address, -r);
        status = r < 0;
    }
    dialogue->answer = *ret_answer;
    return status;
}

static struct load_plan make_plan(const struct options *options)
{
    double seconds = options->seconds > 0 || options->requests > 0 ? options->seconds : 10;
    uint64_t patience_ns = (uint64_t)(options->timeout * 1e9);
    return (struct load_plan){
        .talk = options->talk, .clients = options->clients, .slow = options->slow, .drip_ms = DRIP_MS,
        .rate = options->rate, .count = options->requests, .duration_ns = (uint64_t)(seconds * 1e9),
        .patience_ns = patience_ns, .grace_ns = patience_ns, .cpu = load_choose_cpu(),
    };
}

static int load(const struct options *options, const char *address, struct load_plan *plan)
{
    const struct load_result *result = load_watch(plan, address);
    if (!result)
        return 1;
    load_report(plan, address, options->send && !options->expect, result);
    return load_errors(result) > 0 || result->answered == 0;
}

static int run(const struct options *options)
{
    struct load_plan plan = make_plan(options);
    struct load_dialogue *dialogue = &plan.dialogue;
    char address[SB_ADDRESS_TEXT_SIZE], *question = NULL, *answer = NULL;
    int status = argument_address("switchboard load", options->address, &plan.address);
    if (status == 0)
        sb_address_format(&plan.address, address);
    if (status == 0 && options->send) {
        dialogue->expects = LOAD_TEXT;
        status = parse_text("--send", options->send, LOAD_QUESTION_SIZE_MAX, &question, &dialogue->question_size);
        dialogue->question = question;
        if (status == 0)
            status = find_answer(options, address, &plan, &answer);
    }
    if (status == 0)
        status = load(options, address, &plan);
    free(question);
    free(answer);
    return status;
}

int main(int argc, char **argv)
{
    struct options options = { .address = DEFAULT_ADDRESS, .clients = 16, .timeout = 10 };
    argp_err_exit_status = 2;
    argp_parse(&parser, argc, argv, 0, NULL, &options);
    return run(&options);
}
