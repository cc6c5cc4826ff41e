/* switchboard top: a running server on a terminal, second by second. */
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../arguments.h"
#include "../program.h"
#include "lines.h"
#include "screen.h"

struct arguments {
    const char *target;
    double delay_s;
    int count;
};

static const struct argp_option options[] = {
    { "delay", 'd', "SECONDS", 0, "look so often (default 1)", 0 },
    { "count", 'n', "N", 0, "so many lines, and not the terminal", 0 },
    { NULL, 0, NULL, 0, NULL, 0 },
};

#define OWN(member) offsetof(struct arguments, member)

static error_t parse(int key, char *text, struct argp_state *state)
{
    static const struct argument table[] = {
        { 'd', ARGUMENT_SECONDS, OWN(delay_s), 0.05, 3600 },
        { 'n', ARGUMENT_NUMBER, OWN(count), 1, 1000000000 },
        { .kind = ARGUMENT_END },
    };
    struct arguments *arguments = state->input;
    if (key != ARGP_KEY_ARG)
        return argument_take(table, key, text, state);
    if (state->arg_num > 0 || text[0] == '\0')
        argp_failure(state, 2, 0, "give one server: the pid that its listening line shows, or its name");
    arguments->target = text;
    return 0;
}

/* The only one there is. */
static const char *choose(void)
{
    static char text[16];
    pid_t pids[2];
    int count = sb_ledger_list(pids, 2);
    if (count == 1) {
        snprintf(text, sizeof text, "%d", (int)pids[0]);
        return text;
    }
    fprintf(stderr, "switchboard top: %s; give the pid of one, as its listening line shows it, or its name\n",
            count <= 0 ? "no switchboard server runs here that we may look at" : "several servers run here");
    exit(count <= 0 ? 1 : 2);
}

int main(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options, .parser = parse, .args_doc = "[PID|NAME]",
        .doc = "Shows a running server on the terminal, with keys that change it; where the output is none, a line each "
               "second.\vWithout an argument it is the only server that runs here. See switchboard-top(1).",
    };
    struct arguments arguments = { .delay_s = 1 };
    program_begin("switchboard top");
    argument_parse(&argp, argc, argv, &arguments);
    struct view view = { .target = arguments.target ? arguments.target : choose() };
    int r = view_look(&view);
    if (r < 0) {
        fprintf(stderr, "switchboard top: cannot read the scoreboard of %s: %s\n", view.target, snapshot_explain(r));
        return 1;
    }
    bool on_terminal = arguments.count == 0 && isatty(STDOUT_FILENO) && isatty(STDIN_FILENO);
    int status = on_terminal ? screen_run(&view, arguments.delay_s)
                             : lines_run(&view, arguments.delay_s, (unsigned)arguments.count);
    view_finish(&view);
    return status;
}
