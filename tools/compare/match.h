/* A scenario played through: every contestant, round after round. */
#ifndef MATCH_H
#define MATCH_H

#include "../load/load.h"
#include "comparison.h"

#define MATCH_OPTIONS_MAX 8

struct match_options {
    const char *program;            /* switchboard */
    const char *handler;            /* for scenarios without one of their own */
    const char *question, *answer;  /* for that handler, as in load.h; question NULL: capitals, or what it answers */
    size_t question_size, answer_size;
    const char *options[MATCH_OPTIONS_MAX + 1]; /* of that handler, "key=value", NULL-terminated */
    bool force;                     /* also where the handler's traits forbid it */
    unsigned clients;               /* 0: the scenario's own */
    unsigned rounds;
    double seconds, limit_s;        /* of a run: at least, and at most */
    bool timelines;                 /* one more run of each contestant, recorded */
    void (*look)(void);             /* called about ten times a second while it runs, and may set *stop */
    const volatile bool *stop;
};

/* How many clients, and so descriptors of each side, a scenario will have. */
unsigned match_clients(const struct scenario *scenario, const struct match_options *options, unsigned workers);

/* Plays match->scenario with its contestants and workers. Rounds are interleaved: each contestant has its n-th run
 * before any has the next, in an order that moves on by one each round. What cannot run is skipped, with the reason in
 * `why`. Sets all that is not set yet, the verdict too. Returns 0, -ECANCELED when it was stopped (what is known so far
 * is kept, the verdict included), or -ENOMEM. */
int match_play(const struct comparison *comparison, struct match *match, const struct match_options *options);

/* Frees what a match has. */
void match_finish(struct match *match);

#endif
