/* A match while it is played. Private to match.c and its parts. */
#ifndef PLAY_H
#define PLAY_H

#include "match.h"
#include "run.h"
#include "scenario.h"

/* What a server's life costs: processor time, context switches, system calls. */
struct cost {
    double user_s, system_s;
    long voluntary, involuntary;
    int64_t calls;                  /* -1: not known */
};

struct play {
    const struct comparison *comparison;
    struct match *match;
    const struct match_options *options;
    struct load_dialogue dialogue;
    char *answer;                   /* of the dialogue, when it is made or learnt */
    struct run *run;                /* the one under way */
    struct cost *blanks;            /* of each contestant: of a life in which nothing was served */
    unsigned round, current, runs_done, runs_wanted;
    uint64_t began_ns;
};

/* plan.c */
void plan_subject(const struct play *play, const struct contestant *contestant, struct subject_plan *ret_plan);
uint64_t plan_need(const struct match *match);
void plan_run(const struct play *play, const struct contestant *contestant, struct run_plan *ret_plan);

/* A run that is recorded, for a timeline: it ends when there is enough for a picture. */
void plan_recording(const struct play *play, const struct contestant *contestant, struct run_plan *ret_plan);

/* dialogue.c: sets play->dialogue, by asking the handler once if need be. 0, -ECANCELED, -ENOMEM, or -errno with a
 * sentence in why. */
int play_find_dialogue(struct play *play, char why[SUBJECT_WHY_SIZE]);

/* values.c: how often what the scenario is about has happened in a run of play->current: enough is match->needed. */
uint64_t seen_by(const struct play *play, const struct run *run);

/* What that run says, METRICS values; only what it counted where it has not seen enough. */
void values_of(const struct play *play, const struct run *run, double *ret_values);
struct cost cost_of(const struct run *run);

#endif
