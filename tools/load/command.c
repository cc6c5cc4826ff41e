/* switchboard load: many clients, every answer checked. What it promises: switchboard-load(1). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <switchboard/address.h>
#include "../arguments.h"
#include "../caller.h"
#include "../program.h"
#include "generator.h"
#include "learn.h"
#include "load.h"
#include "report.h"
#include "settle.h"
#include "watch.h"

#define DRIP_MS 200

struct options {
    const char *address[2];             /* up to a NULL */
    char *question, *answer;            /* NULL: not given */
    size_t question_size, answer_size;
    double seconds, timeout, rate;      /* seconds 0: not given */
    unsigned clients, slow;
    unsigned requests;                  /* 0: not given */
    bool talk;
};

/* --- options ------------------------------------------------------------------------------------------------------ */

enum { SEND = 0x100, EXPECT, SLOW, TIMEOUT };

static void check_options(const struct options *options, struct argp_state *state)
{
    if (options->slow >= options->clients)
        argp_failure(state, 2, 0, "--slow=%u leaves no client that asks: give more --clients, there are %u",
                     options->slow, options->clients);
    if (options->answer && !options->question)
        argp_failure(state, 2, 0, "--expect needs the question: give --send too");
}

#define OWN(member) offsetof(struct options, member)

static const struct argument argument_table[] = {
    { 'c', ARGUMENT_NUMBER, OWN(clients), 1, LOAD_CLIENTS_MAX },
    { 't', ARGUMENT_SECONDS, OWN(seconds), ARGUMENT_SECONDS_MIN, ARGUMENT_SECONDS_MAX },
    { 'n', ARGUMENT_NUMBER, OWN(requests), 1, UINT32_MAX },
    { 'T', ARGUMENT_FLAG, OWN(talk), 0, 0 },
    { 'r', ARGUMENT_RATE, OWN(rate), 0.001, 1e9 },
    { SLOW, ARGUMENT_NUMBER, OWN(slow), 1, LOAD_CLIENTS_MAX },
    { TIMEOUT, ARGUMENT_SECONDS, OWN(timeout), ARGUMENT_SECONDS_MIN, ARGUMENT_SECONDS_MAX },
    { ARGP_KEY_ARG, ARGUMENT_LIST, OWN(address), 0, 1 },
    { 0 },
};

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct options *options = state->input;
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

/* --- the plan ----------------------------------------------------------------------------------------------------- */

static void say_not_learned(const char *address, int error)
{
    char why[CALLER_WHY_SIZE];
    const char *advice = error == ETIMEDOUT ? ": if it waits for more, --send ends too early, perhaps it lacks \\n"
                         : error == ENODATA ? ": it ended the connection; --expect=TEXT says what should come" : "";
    fprintf(stderr, "switchboard load: no first answer from %s, which would be the measure of the others: %s%s\n",
            address, error == ENODATA ? "nothing came" : caller_explain(error, address, why), advice);
}

static struct load_plan make_plan(const struct options *options)
{
    double seconds = options->seconds > 0 || options->requests > 0 ? options->seconds : 10;
    uint64_t patience_ns = (uint64_t)(options->timeout * 1e9);
    return (struct load_plan){
        .talk = options->talk, .clients = options->clients, .slow = options->slow, .drip_ms = DRIP_MS,
        .rate = options->rate, .count = options->requests, .duration_ns = (uint64_t)(seconds * 1e9),
        .patience_ns = patience_ns, .grace_ns = patience_ns, .cpu = generator_choose_cpu(),
        .dialogue = { .expects = options->question ? LOAD_TEXT : LOAD_CAPITALS,
                      .question = options->question, .question_size = options->question_size,
                      .answer = options->answer, .answer_size = options->answer_size },
    };
}

/* Where nobody said what must come back, that is what comes first; the caller's to free. 0 or the exit status. */
static int learn_answer(const struct options *options, const char *address, struct load_plan *plan, char **ret_answer)
{
    struct load_dialogue *dialogue = &plan->dialogue;
    if (!options->question || options->answer)
        return 0;
    int r = load_learn(&plan->address, dialogue->question, dialogue->question_size, (int)(options->timeout * 1000),
                       ret_answer, &dialogue->answer_size);
    if (r < 0)
        say_not_learned(address, -r);
    dialogue->answer = *ret_answer;
    return r < 0;
}

static int load(const struct options *options, const char *address, struct load_plan *plan)
{
    const struct load_result *result = load_watch(plan, address);
    if (!result)
        return 1;
    load_report(plan, address, options->question && !options->answer, result);
    return load_errors(result) > 0 || result->answered == 0;
}

/* What is said of it: where nobody is, the name. */
static void settle(const struct options *options, struct addresses *addresses, struct load_plan *plan)
{
    const struct sb_address *settled = load_settle(addresses, &plan->dialogue, (int)(options->timeout * 1000));
    plan->address = settled ? *settled : addresses->list[0];
    if (settled)
        sb_address_format(settled, addresses->name);
}

static int run(const struct options *options)
{
    struct load_plan plan = make_plan(options);
    struct addresses addresses;
    char *learned = NULL;
    int status = argument_addresses("switchboard load", options->address[0], &addresses);
    if (status != 0)
        return status;
    settle(options, &addresses, &plan);
    status = learn_answer(options, addresses.name, &plan, &learned);
    if (status == 0)
        status = load(options, addresses.name, &plan);
    free(learned);
    free(addresses.list);
    return status;
}

int main(int argc, char **argv)
{
    struct options options = { .clients = 16, .timeout = 10 };
    program_begin("switchboard load");
    argument_parse(&parser, argc, argv, &options);
    int status = run(&options);
    free(options.question);
    free(options.answer);
    return status;
}
