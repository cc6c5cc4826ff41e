/* What people think that a change will do: a vote from each browser. */
#ifndef LAB_VOTES_H
#define LAB_VOTES_H

#include <jansson.h>
#include <stdbool.h>

#define VOTES_MAX 1000              /* browsers */

enum vote_speed { VOTE_NO_SPEED, VOTE_FASTER, VOTE_SLOWER, VOTE_SAME, VOTE_SPEEDS };
enum vote_errors { VOTE_NO_ERRORS_SAID, VOTE_NONE, VOTE_SOME, VOTE_ERRORS };
extern const char *const vote_speed_names[VOTE_SPEEDS], *const vote_errors_names[VOTE_ERRORS];

struct vote {
    char who[40];
    enum vote_speed speed;
    enum vote_errors errors;
};

struct votes {
    struct vote list[VOTES_MAX];
    unsigned count;
};

void votes_clear(struct votes *votes);

/* What is not said (0) stays as it was. False: there is no room for one more, or who is "". */
bool votes_take(struct votes *votes, const char *who, enum vote_speed speed, enum vote_errors errors);

/* {"faster": 3, ...}, {"none": 2, ...}, all of both in one, and one's own: {"speed", "errors"}, or null. */
json_t *votes_speed_json(const struct votes *votes);
json_t *votes_errors_json(const struct votes *votes);
json_t *votes_json(const struct votes *votes);
json_t *votes_own_json(const struct votes *votes, const char *who);

#endif
