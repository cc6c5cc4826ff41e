#include "votes.h"

#include <stdio.h>
#include <string.h>

const char *const vote_speed_names[VOTE_SPEEDS] = { "", "faster", "slower", "same" };
const char *const vote_errors_names[VOTE_ERRORS] = { "", "none", "some" };

void votes_clear(struct votes *votes)
{
    votes->count = 0;
}

static struct vote *find(const struct votes *votes, const char *who)
{
    for (unsigned i = 0; i < votes->count; i++)
        if (strcmp(votes->list[i].who, who) == 0)
            return (struct vote *)&votes->list[i];
    return NULL;
}

bool votes_take(struct votes *votes, const char *who, enum vote_speed speed, enum vote_errors errors)
{
    struct vote *vote = find(votes, who);
    if (!who[0] || (!vote && votes->count == VOTES_MAX))
        return false;
    if (!vote) {
        vote = &votes->list[votes->count++];
        *vote = (struct vote){ .speed = VOTE_NO_SPEED };
        snprintf(vote->who, sizeof vote->who, "%s", who);
    }
    vote->speed = speed != VOTE_NO_SPEED ? speed : vote->speed;
    vote->errors = errors != VOTE_NO_ERRORS_SAID ? errors : vote->errors;
    return true;
}

static unsigned count_speed(const struct votes *votes, enum vote_speed speed)
{
    unsigned count = 0;
    for (unsigned i = 0; i < votes->count; i++)
        count += votes->list[i].speed == speed;
    return count;
}

static unsigned count_errors(const struct votes *votes, enum vote_errors errors)
{
    unsigned count = 0;
    for (unsigned i = 0; i < votes->count; i++)
        count += votes->list[i].errors == errors;
    return count;
}

static void add_speed(const struct votes *votes, json_t *made)
{
    for (unsigned i = VOTE_FASTER; i < VOTE_SPEEDS; i++)
        json_object_set_new(made, vote_speed_names[i], json_integer(count_speed(votes, i)));
}

static void add_errors(const struct votes *votes, json_t *made)
{
    for (unsigned i = VOTE_NONE; i < VOTE_ERRORS; i++)
        json_object_set_new(made, vote_errors_names[i], json_integer(count_errors(votes, i)));
}

json_t *votes_speed_json(const struct votes *votes)
{
    json_t *made = json_object();
    add_speed(votes, made);
    return made;
}

json_t *votes_errors_json(const struct votes *votes)
{
    json_t *made = json_object();
    add_errors(votes, made);
    return made;
}

json_t *votes_json(const struct votes *votes)
{
    json_t *made = json_object();
    add_speed(votes, made);
    add_errors(votes, made);
    return made;
}

static json_t *name(const char *text)
{
    return text[0] ? json_string(text) : json_null();
}

json_t *votes_own_json(const struct votes *votes, const char *who)
{
    const struct vote *vote = find(votes, who);
    return vote ? json_pack("{s:o, s:o}", "speed", name(vote_speed_names[vote->speed]), "errors",
                            name(vote_errors_names[vote->errors]))
                : json_null();
}
