#include "options.h"

#include <string.h>
#include "../arguments.h"
#include "output.h"

#define DEFAULT_ROUNDS 6
#define DEFAULT_SECONDS 1
#define DEFAULT_LIMIT_S 60

enum { STRATEGIES = 256, CLIENTS, SECONDS, ROUNDS, LIMIT, WORKERS, HTML, JSON, CSV, PREDICT, SEND, EXPECT };

static const struct argp_option option_table[] = {
    { "strategies", 's', "LIST,LIST,...", 0, "strategies to compare, each as for serve --strategy, with @DISCIPLINE "
      "behind it as for --accept (default: those of each scenario)", 1 },
    { "scenario", 'S', "NAME,...", 0, "what to compare them by: short, talk, udp, slow, wait, spin, idle, burst, "
      "crash, shared, big, herd, unp, or all (default short)", 1 },
    { "clients", 'c', "N", 0, "callers at a time (default: each scenario's own)", 2 },
    { "seconds", 't', "T", 0, "how long each run takes at least (default 1)", 2 },
    { "limit", LIMIT, "T", 0, "how long a run may go on until it has seen enough (default 60)", 2 },
    { "rounds", 'r', "R", 0, "runs of each strategy (default 6, the least from which differences can be told)", 2 },
    { "workers", 'w', "N", 0, "of pool, prefork and prethread without a count of their own (default 4; unp: 15)", 2 },
    { "force", 'f', NULL, 0, "run a handler where its traits forbid it, as serve does", 3 },
    { "option", 'o', "KEY=VALUE", 0, "an option of the handler, as for serve", 3 },
    { "send", SEND, "TEXT", 0, "what to ask the handler, with \\n for a newline (default: another line each "
      "time)", 3 },
    { "expect", EXPECT, "TEXT", 0, "what it must answer (default: what it answers first, under serial)", 3 },
    { "html", HTML, "FILE", 0, "write a report with charts", 4 },
    { "json", JSON, "FILE", 0, "write all figures as JSON", 4 },
    { "csv", CSV, "FILE", 0, "write the figures of each run as CSV", 4 },
    { "predict", 'p', NULL, 0, "ask for your ranking by each scenario first, and show it beside the measured one", 4 },
    { 0 },
};

static bool name_same_file(const char *one, const char *other)
{
    return one && other && strcmp(one, other) == 0;
}

static void finish_parsing(struct argp_state *state, struct compare_arguments *arguments)
{
    if (arguments->options.limit_s < arguments->options.seconds)
        arguments->options.limit_s = arguments->options.seconds;
    if (arguments->options.answer && !arguments->options.question)
        argp_failure(state, 2, 0, "--expect is the answer to something: say --send too");
    if (name_same_file(arguments->html, arguments->json) || name_same_file(arguments->json, arguments->csv) ||
        name_same_file(arguments->html, arguments->csv))
        argp_failure(state, 2, 0, "each of --html, --json and --csv needs a file of its own");
    if (arguments->html && !page_is_built())
        argp_failure(state, 1, 0, "--html: this switchboard was built without Chart.js; install it (Debian: "
                     "libjs-chart.js) and build again");
}

#define OWN(member) offsetof(struct compare_arguments, member)

static const struct argument argument_table[] = {
    { 's', ARGUMENT_TEXT, OWN(strategies), 0, 0 },
    { 'S', ARGUMENT_TEXT, OWN(scenarios), 0, 0 },
    { 'c', ARGUMENT_NUMBER, OWN(options.clients), 1, LOAD_CLIENTS_MAX },
    { 't', ARGUMENT_SECONDS, OWN(options.seconds), 0.01, 3600 },
    { LIMIT, ARGUMENT_SECONDS, OWN(options.limit_s), 0.01, 3600 },
    { 'r', ARGUMENT_NUMBER, OWN(options.rounds), 1, ROUNDS_MAX },
    { 'w', ARGUMENT_NUMBER, OWN(workers), 1, 1000 },
    { 'f', ARGUMENT_FLAG, OWN(options.force), 0, 0 },
    { 'o', ARGUMENT_LIST, OWN(options.options), 0, MATCH_OPTIONS_MAX },
    { HTML, ARGUMENT_TEXT, OWN(html), 0, 0 },
    { JSON, ARGUMENT_TEXT, OWN(json), 0, 0 },
    { CSV, ARGUMENT_TEXT, OWN(csv), 0, 0 },
    { 'p', ARGUMENT_FLAG, OWN(predict), 0, 0 },
    { 0 },
};

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct compare_arguments *arguments = state->input;
    struct match_options *options = &arguments->options;
    switch (key) {
    case SEND:
        argument_bytes(state, "send", text, LOAD_QUESTION_SIZE_MAX, &arguments->question, &options->question_size);
        options->question = arguments->question;
        return 0;
    case EXPECT:
        argument_bytes(state, "expect", text, ARGUMENT_BYTES_MAX, &arguments->answer, &options->answer_size);
        options->answer = arguments->answer;
        return 0;
    case ARGP_KEY_ARG:
        if (options->handler)
            argp_failure(state, 2, 0, "one handler at a time, or several composed with plus signs");
        options->handler = text;
        return 0;
    case ARGP_KEY_END:
        finish_parsing(state, arguments);
        return 0;
    default:
        return argument_take(argument_table, key, text, state);
    }
}

static const struct argp argp = {
    .options = option_table,
    .parser = parse,
    .args_doc = "[HANDLER]",
    .doc = "Run every strategy under the same load, and tell which serves best and why.\vHANDLER is upper by default. "
           "See switchboard-compare(1).",
};

void compare_arguments_parse(int argc, char **argv, struct compare_arguments *arguments)
{
    *arguments = (struct compare_arguments){
        .options = { .rounds = DEFAULT_ROUNDS, .seconds = DEFAULT_SECONDS, .limit_s = DEFAULT_LIMIT_S },
        .scenarios = "short",
    };
    argument_parse(&argp, argc, argv, arguments);
    arguments->options.timelines = arguments->html || arguments->json;
}
