#include "options.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../arguments.h"

enum { PAGE = 256, ROOM, LESSON, CHECK };

static const struct argp_option option_table[] = {
    { "strategy", 's', "LIST", 0, "the strategy at the beginning, as of serve (default thread)", 1 },
    { "accept", 'a', "DISCIPLINE", 0, "the accept discipline at the beginning (default shared)", 1 },
    { "option", 'o', "KEY=VALUE", 0, "an option of the handler", 1 },
    { "force", 'f', NULL, 0, "run a handler where its traits forbid it, as serve does", 1 },
    { "callers", 'c', "N", 0, "callers at the beginning (default 10)", 2 },
    { "page", PAGE, "HOST:PORT", 0, "where the page is (default: a free port of 127.0.0.1)", 3 },
    { "room", ROOM, "HOST:PORT", 0, "a second page, for the class: it only shows, and takes votes", 3 },
    { "lesson", LESSON, "NAME|FILE", 0, "begin with a lesson; 'help' lists them", 4 },
    { "check", CHECK, "FILE", 0, "only say whether a lesson's file is sound", 4 },
    { 0 },
};

#define OWN(member) offsetof(struct lab_options, member)

static const struct argument argument_table[] = {
    { 's', ARGUMENT_TEXT, OWN(strategy), 0, 0 },
    { 'a', ARGUMENT_TEXT, OWN(accept), 0, 0 },
    { 'o', ARGUMENT_LIST, OWN(options), 0, ORDER_OPTIONS_MAX },
    { 'f', ARGUMENT_FLAG, OWN(force), 0, 0 },
    { 'c', ARGUMENT_NUMBER, OWN(callers), 0, ORDER_CALLERS_MAX },
    { PAGE, ARGUMENT_TEXT, OWN(page), 0, 0 },
    { ROOM, ARGUMENT_TEXT, OWN(room), 0, 0 },
    { LESSON, ARGUMENT_TEXT, OWN(lesson), 0, 0 },
    { CHECK, ARGUMENT_TEXT, OWN(check), 0, 0 },
    { ARGP_KEY_ARG, ARGUMENT_LIST, OWN(words), 0, STAGE_ADDRESSES_MAX + 1 },
    { 0 },
};

static error_t parse(int key, char *text, struct argp_state *state)
{
    return argument_take(argument_table, key, text, state);
}

static const struct argp argp = {
    .options = option_table,
    .parser = parse,
    .args_doc = "[HANDLER [ADDRESS]...]",
    .doc = "Shows a real server at work on a page, and changes it while it serves.\v"
           "It starts the server, callers and the page, whose address it prints; Control-C ends all. HANDLER is play "
           "without one, ADDRESS a free TCP port of 127.0.0.1. See switchboard-lab(1).",
};

void lab_options_parse(int argc, char **argv, struct lab_options *options)
{
    *options = (struct lab_options){ .strategy = "thread", .accept = "shared", .page = "127.0.0.1:0", .callers = 10 };
    argument_parse(&argp, argc, argv, options);
    if (!options->words[0])
        options->words[0] = "play";
    if (!options->words[1])
        options->words[1] = "tcp://127.0.0.1:0";
}

static void copy(char text[ORDER_TEXT_SIZE], const char *what, const char *given)
{
    if (strlen(given) >= ORDER_TEXT_SIZE) {
        fprintf(stderr, "switchboard lab: %s is longer than %d bytes: %s\n", what, ORDER_TEXT_SIZE - 1, given);
        exit(2);
    }
    strcpy(text, given);
}

void lab_options_plan(const struct lab_options *options, struct stage_plan *ret_plan)
{
    struct stage_play *play = &ret_plan->play;
    *ret_plan = (struct stage_plan){ .addresses = options->words + 1, .force = options->force };
    copy(play->strategy, "the strategy", options->strategy);
    copy(play->accept, "the discipline", options->accept);
    copy(play->handler, "the handler", options->words[0]);
    for (; options->options[play->n_options]; play->n_options++)
        copy(play->options[play->n_options], "an option", options->options[play->n_options]);
}
