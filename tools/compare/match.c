#include "match.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "../clock.h"
#include "play.h"
#include "table.h"
#include "verdict.h"

static void tick(void *data)
{
    const struct play *play = data;
    play->options->look();
    double spent_s = (double)(clock_ns() - play->began_ns) / 1e9;
    double left_s = play->runs_done > 0
        ? spent_s / play->runs_done * (play->runs_wanted - play->runs_done) : -1;
    progress_show(play->match->scenario->name, play->round, play->match->rounds,
                  play->match->contestants[play->current].name, left_s);
}

/* --- a contestant's turn ------------------------------------------------------------------------------------------ */

static void keep_run(struct play *play, struct contestant *contestant, const struct run_plan *plan,
                    unsigned *bottlenecks)
{
    const struct run *run = play->run;
    uint64_t seen = seen_by(play, run);
    if (seen < play->match->needed) {
        contestant->fewest = contestant->few == 0 ? seen : MIN(contestant->fewest, seen);
        contestant->few++;
    }
    values_of(play, run, contestant->values[contestant->rounds++]);
    histogram_merge(contestant->latency, &run->load.latency);
    contestant->died |= run->died;
    if (contestant->example.question_size == 0)
        contestant->example = run->load.example;
    *bottlenecks += load_was_bottleneck(&plan->load, &run->load);
    contestant->bottleneck = 2 * *bottlenecks >= contestant->rounds;
    memcpy(contestant->workers, run->workers, sizeof run->workers);
    contestant->n_workers = run->n_workers;
}

static int measure_blank(struct play *play, struct contestant *contestant, const struct run_plan *plan)
{
    int r = run_blank(plan, play->options->stop, play->run, contestant->why);
    play->blanks[play->current] = cost_of(play->run);
    return r;
}

/* -ECANCELED and -ENOMEM end the match; anything else only this contestant's part in it. */
static int turn(struct play *play, struct contestant *contestant, unsigned *bottlenecks)
{
    struct run_plan plan;
    if (contestant->why[0] != '\0')
        return 0;
    tick(play);
    plan_run(play, contestant, &plan);
    int r = play->round == 1 ? measure_blank(play, contestant, &plan) : 0;
    if (r == 0)
        r = run_once(&plan, play->options->stop, tick, play, play->run, contestant->why);
    if (r == 0)
        keep_run(play, contestant, &plan, bottlenecks);
    contestant->misused |= r == -EBADRQC;
    if (r == -ECANCELED)
        contestant->why[0] = '\0';
    return r == -ECANCELED || r == -ENOMEM ? r : 0;
}

static int play_rounds(struct play *play)
{
    struct match *match = play->match;
    unsigned bottlenecks[match->n_contestants];
    memset(bottlenecks, 0, sizeof bottlenecks);
    int r = 0;
    for (play->round = 1; r == 0 && play->round <= match->rounds; play->round++) {
        for (unsigned i = 0; r == 0 && i < match->n_contestants; i++) {
            play->current = (i + play->round - 1) % match->n_contestants;
            r = turn(play, &match->contestants[play->current], &bottlenecks[play->current]);
            play->runs_done++;
        }
    }
    play->round = match->rounds;
    return r;
}

static int record_one(struct play *play, struct contestant *contestant)
{
    struct run_plan plan;
    char why[SUBJECT_WHY_SIZE];
    if (contestant->rounds == 0)
        return 0;
    tick(play);
    plan_recording(play, contestant, &plan);
    int r = run_once(&plan, play->options->stop, tick, play, play->run, why);
    if (r == 0)
        contestant->timeline = play->run->timeline;
    return r == -ECANCELED || r == -ENOMEM ? r : 0;
}

/* The requests of one connection cannot be told apart; datagrams have none. */
static bool records(const struct play *play)
{
    const struct scenario *scenario = play->match->scenario;
    bool shares = scenario->talk && scenario->requests_each != 1 && strcmp(scenario->family, "tcp") == 0;
    return play->options->timelines && !shares;
}

static int record(struct play *play)
{
    struct match *match = play->match;
    int r = 0;
    for (play->current = 0; r == 0 && records(play) && play->current < match->n_contestants; play->current++) {
        r = record_one(play, &match->contestants[play->current]);
        play->runs_done++;
    }
    return r;
}

/* --- the match ---------------------------------------------------------------------------------------------------- */

static void skip_all(struct match *match, const char *why, bool misused)
{
    for (unsigned i = 0; i < match->n_contestants; i++) {
        snprintf(match->contestants[i].why, SUBJECT_WHY_SIZE, "%s", why);
        match->contestants[i].misused = misused;
    }
}

static int prepare(struct play *play)
{
    struct match *match = play->match;
    play->run = calloc(1, sizeof *play->run);
    play->blanks = calloc(match->n_contestants, sizeof *play->blanks);
    for (unsigned i = 0; i < match->n_contestants; i++) {
        struct contestant *contestant = &match->contestants[i];
        contestant->values = calloc(match->rounds, sizeof *contestant->values);
        contestant->latency = calloc(1, sizeof *contestant->latency);
        if (!contestant->values || !contestant->latency)
            return -ENOMEM;
    }
    play->runs_wanted = match->n_contestants * (match->rounds + records(play));
    return play->run && play->blanks ? 0 : -ENOMEM;
}

static void describe(struct play *play)
{
    struct match *match = play->match;
    const struct scenario *scenario = match->scenario;
    match->handler = scenario->handler ? scenario->handler : play->options->handler;
    snprintf(match->family, sizeof match->family, "%s", scenario->family);
    match->clients = match_clients(scenario, play->options, match->workers);
    match->seconds = scenario->requests_each > 0 ? 0 : play->options->seconds;
    match->limit_s = play->options->limit_s;
    match->needed = plan_need(match);
    match->rounds = play->options->rounds;
    match->baseline = -1;
}

/* Process control: what a design costs beside the iterative one, which has none. */
static void subtract_serial(struct match *match)
{
    const struct contestant *serial = NULL;
    for (unsigned i = 0; i < match->n_contestants; i++)
        if (strcmp(match->contestants[i].name, "serial") == 0)
            serial = &match->contestants[i];
    for (unsigned i = 0; serial && i < match->n_contestants; i++) {
        struct contestant *contestant = &match->contestants[i];
        for (unsigned k = 0; k < MIN(contestant->rounds, serial->rounds); k++)
            contestant->values[k][CONTROL_CPU_S] = contestant->values[k][TOTAL_CPU_S] - serial->values[k][TOTAL_CPU_S];
    }
}

/* The first of which the deciding metric is known, or else that has run at all. */
static int find_baseline(const struct match *match)
{
    int first = -1;
    for (unsigned i = 0; i < match->n_contestants; i++) {
        if (contestant_spread(&match->contestants[i], match->scenario->primary).n > 0)
            return i;
        if (first < 0 && match->contestants[i].rounds > 0)
            first = i;
    }
    return first;
}

/* Where the test has nothing to say, the verdict must not sound as if it had. */
static void admit_chance(const struct match *match, FILE *verdict)
{
    unsigned rounds = match->contestants[match->baseline].rounds;
    if (match->n_contestants > 1 && rounds < SIGNED_RANK_LEAST)
        fprintf(verdict, "That is what %u round%s: it takes %d to tell small differences from chance.\n", rounds,
                rounds == 1 ? " says" : "s say", SIGNED_RANK_LEAST);
}

static int conclude(struct match *match)
{
    FILE *verdict = fmemopen(match->verdict, sizeof match->verdict, "w");
    if (!verdict)
        return -ENOMEM;
    match->baseline = find_baseline(match);
    if (match->baseline >= 0) {
        conclude_faults(match, verdict);
        conclude_too_little(match, verdict);
        match->scenario->conclude(match, verdict);
        admit_chance(match, verdict);
    } else {
        fprintf(verdict, "Nothing could be compared%s%s\n", match->contestants[0].why[0] ? ": " : " yet.",
                match->contestants[0].why);
    }
    fclose(verdict);
    match->verdict[sizeof match->verdict - 1] = '\0';
    return 0;
}

int match_play(const struct comparison *comparison, struct match *match, const struct match_options *options)
{
    struct play play = { .comparison = comparison, .match = match, .options = options, .began_ns = clock_ns() };
    char why[SUBJECT_WHY_SIZE] = "";
    describe(&play);
    int r = prepare(&play);
    if (r == 0) {
        r = play_find_dialogue(&play, why);
        if (r < 0 && r != -ECANCELED && r != -ENOMEM) {
            skip_all(match, why, r == -EBADRQC);
            r = 0;
        }
    }
    if (r == 0)
        r = play_rounds(&play);
    if (r == 0)
        r = record(&play);
    progress_clear();
    subtract_serial(match);
    if (conclude(match) < 0)
        r = -ENOMEM;
    free(play.run);
    free(play.blanks);
    free(play.answer);
    return r;
}

void match_finish(struct match *match)
{
    for (unsigned i = 0; i < match->n_contestants; i++) {
        struct contestant *contestant = &match->contestants[i];
        free((char *)contestant->name);
        free(contestant->values);
        free(contestant->latency);
        timeline_finish(&contestant->timeline);
    }
    for (unsigned i = 0; i < match->n_prediction; i++)
        free(match->prediction[i]);
    free(match->prediction);
    free(match->contestants);
    *match = (struct match){ 0 };
}
