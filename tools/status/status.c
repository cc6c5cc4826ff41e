/* switchboard status: what the workers of a running server do, for people or for programs. */
#include <argp.h>
#include <stdio.h>

#include "../arguments.h"
#include "../program.h"
#include "../snapshot.h"
#include "json.h"

struct arguments {
    const char *target;
    bool json;
};

static const struct argp_option options[] = {
    { "json", 'j', NULL, 0, "as one JSON object", 0 },
    { NULL, 0, NULL, 0, NULL, 0 },
};

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case 'j':
        arguments->json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 0 || text[0] == '\0')
            argp_failure(state, 2, 0, "give one server: the pid that its listening line shows, or its name");
        arguments->target = text;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_failure(state, 2, 0, "give the pid of a server, as its listening line shows it, or its name");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void print_summary(const struct snapshot *snapshot)
{
    const struct snapshot_generation *serving = &snapshot->generations[0];
    const struct sb_totals *totals = &snapshot->totals;
    printf("handler=%s strategy=%s pid=%d up=%.0fs served=%llu errors=%llu left=%llu truncated=%llu workers=%u busy=%u "
           "held_up=%llu", serving->handler, serving->strategy, snapshot->pid, snapshot->seconds,
           (unsigned long long)totals->served, (unsigned long long)totals->errors, (unsigned long long)totals->left,
           (unsigned long long)totals->truncated, totals->workers, totals->busy, (unsigned long long)totals->held_up);
    if (snapshot->waiting >= 0)
        printf(" waiting=%d", snapshot->waiting);
    if (serving->number > 0)
        printf(" generation=%u ended=%u", serving->number, snapshot->ended);
    printf("\n%6s  %7s  %-9s %9s  %8s  %6s  %s\n", "worker", "pid/tid", "state", "seconds", "served", "errors", "peer");
}

static void print_workers(const struct snapshot_generation *generation)
{
    for (unsigned i = 0; i < generation->n_workers; i++) {
        const struct snapshot_worker *worker = &generation->workers[i];
        printf("%6u  %7d  %-9s %9.1f  %8llu  %6llu  %s\n", worker->worker, worker->tid ? worker->tid : worker->pid,
               sb_state_name(worker->state), worker->seconds, (unsigned long long)worker->served,
               (unsigned long long)worker->errors, worker->peer);
    }
}

/* First the one that serves, then those beside it. */
static void print_text(const struct snapshot *snapshot)
{
    print_summary(snapshot);
    for (unsigned i = 0; i < snapshot->n_generations; i++) {
        const struct snapshot_generation *generation = &snapshot->generations[i];
        if (i > 0)
            printf("generation %u, pid %d, %s for %.1f s", generation->number, generation->pid,
                   sb_generation_state_name(generation->state), generation->seconds);
        if (i > 0 && generation->known)
            printf(": handler=%s strategy=%s", generation->handler, generation->strategy);
        if (i > 0)
            printf("\n");
        print_workers(generation);
    }
}

int main(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options, .parser = parse, .args_doc = "PID|NAME",
        .doc = "Shows what each worker of a running server does.\vSee switchboard(1).",
    };
    struct arguments arguments = { .target = NULL };
    struct snapshot snapshot;
    program_begin("switchboard status");
    argument_parse(&argp, argc, argv, &arguments);
    int r = snapshot_take(arguments.target, &snapshot);
    if (r < 0) {
        fprintf(stderr, "switchboard status: cannot read the scoreboard of %s: %s\n", arguments.target,
                snapshot_explain(r));
        return 1;
    }
    if (arguments.json)
        r = json_print(&snapshot);
    else
        print_text(&snapshot);
    snapshot_free(&snapshot);
    if (r < 0)
        fprintf(stderr, "switchboard status: out of memory\n");
    return r < 0;
}
