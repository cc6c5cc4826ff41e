/* switchboard switch: another strategy, discipline, number of workers, handler or option, while it serves. */
#include "commands.h"

#include <argp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "arguments.h"
#include "ask.h"

enum { OPTIONS_MAX = 64, NO_WAIT = 256 };

struct wanted {
    const char *target, *strategy, *accept, *workers, *handler;
    const char *options[OPTIONS_MAX + 1];
    bool returns_early;
};

static const struct argp_option option_table[] = {
    { "strategy", 's', "LIST", 0, "another strategy, as of serve", 0 },
    { "accept", 'a', "DISCIPLINE", 0, "another accept discipline: shared, mutex, flock, pass or reuseport", 0 },
    { "workers", 'w', "N", 0, "+1 or -1: a worker more or less; 8: as many, of the first strategy that has a "
      "number", 0 },
    { "option", 'o', "KEY=VALUE", 0, "an option of the handler; the others stay", 0 },
    { "no-wait", NO_WAIT, NULL, 0, "do not wait until the old generation has ended", 0 },
    { 0 },
};

#define OWN(member) offsetof(struct wanted, member)

static const struct argument argument_table[] = {
    { 's', ARGUMENT_TEXT, OWN(strategy), 0, 0 },
    { 'a', ARGUMENT_TEXT, OWN(accept), 0, 0 },
    { 'w', ARGUMENT_TEXT, OWN(workers), 0, 0 },
    { 'o', ARGUMENT_LIST, OWN(options), 0, OPTIONS_MAX },
    { NO_WAIT, ARGUMENT_FLAG, OWN(returns_early), 0, 0 },
    { 0 },
};

static void take_word(struct argp_state *state, struct wanted *wanted, const char *word)
{
    if (!wanted->target)
        wanted->target = word;
    else if (!wanted->handler)
        wanted->handler = word;
    else
        argp_failure(state, 2, 0, "'%s' is one argument too many: there is a server, and a handler", word);
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct wanted *wanted = state->input;
    switch (key) {
    case ARGP_KEY_ARG:
        take_word(state, wanted, text);
        return 0;
    case ARGP_KEY_END:
        if (!wanted->target)
            argp_failure(state, 2, 0, "the server is missing: its pid, or the name that 'serve --name' gave it");
        if (!wanted->strategy && !wanted->accept && !wanted->workers && !wanted->handler && !wanted->options[0])
            argp_failure(state, 2, 0, "nothing is to change: say --strategy, --accept, --workers, --option or a "
                         "handler ('switchboard reload' reads the same anew)");
        return 0;
    default:
        return argument_take(argument_table, key, text, state);
    }
}

static const struct argp argp = {
    .options = option_table,
    .parser = parse,
    .args_doc = "PID|NAME [HANDLER]",
    .doc = "Change a running server.\vNo caller is refused or cut off by it. What makes no sense, or does not start, "
           "changes nothing. See switchboard-switch(1).",
};

/* "KEY=TEXT"; NULL: no memory. */
static char *word(const char *key, const char *text)
{
    char *made;
    return asprintf(&made, "%s=%s", key, text) < 0 ? NULL : made;
}

static int ask(const struct wanted *wanted)
{
    const struct { const char *key, *text; } texts[] = {
        { "strategy", wanted->strategy }, { "accept", wanted->accept }, { "workers", wanted->workers },
        { "handler", wanted->handler },
    };
    const char *words[OPTIONS_MAX + 8] = { "switch" };
    unsigned n = 1;
    bool whole = true;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].text)
            whole &= (words[n++] = word(texts[i].key, texts[i].text)) != NULL;
    for (const char *const *option = wanted->options; *option; option++)
        whole &= (words[n++] = word("option", *option)) != NULL;
    int status = whole ? ask_server(wanted->target, words, !wanted->returns_early) : 1;
    if (!whole)
        fprintf(stderr, "switchboard switch: out of memory\n");
    while (n > 1)
        free((char *)words[--n]);
    return status;
}

int switch_main(int argc, char **argv)
{
    struct wanted wanted = { .target = NULL };
    argument_parse(&argp, argc, argv, &wanted);
    return ask(&wanted);
}
