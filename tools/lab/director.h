/* What the lab does when it is asked to: changes, loads, callers of the buttons, questions and lessons; what it marks,
 * and what came of it. */
#ifndef LAB_DIRECTOR_H
#define LAB_DIRECTOR_H

#include <jansson.h>
#include "crowd.h"
#include "effect.h"
#include "exchange.h"
#include "lesson.h"
#include "numbers.h"
#include "orders.h"
#include "stage.h"
#include "votes.h"

#define DIRECTOR_EFFECTS_MAX 8
#define DIRECTOR_STOPPED_MAX 16
#define DIRECTOR_KEPT_MAX 200       /* marks, and outcomes */

/* Of a mark whose outcome is not known yet. */
struct director_effect {
    uint64_t begun_ns, happened_ns;     /* when it was asked for, and done; 0: the place is free */
    bool disturbed;
    json_t *mark, *votes;           /* votes: null where nobody was asked */
};

/* The load first, then the change, and the acts when it has been made. */
struct director_orders {
    bool has_load;
    struct order_load load;
    struct order_change change;
    enum order_act acts[LESSON_ACTS_MAX];
    unsigned n_acts;
};

struct director {
    struct stage *stage;
    struct crowd *crowd;
    struct numbers *numbers;
    struct exchange *exchange;
    uint64_t zero_ns;
    void (*tell)(const char *event, json_t *data, void *data_of_tell);  /* an event for all who look on; takes data */
    void *data_of_tell;

    struct lesson *lessons;
    unsigned n_lessons;
    int lesson, step;               /* -1: none */

    bool asks;                      /* before each change */
    bool has_pending;               /* it is asked what these will do, and they wait: */
    struct director_orders pending;
    enum order_act following[LESSON_ACTS_MAX];  /* when the change that is under way has been made */
    unsigned n_following;
    const struct lesson_text *question;     /* NULL: none but the usual one */
    struct votes votes;
    json_t *votes_of_orders;        /* on what is being carried out, until its outcome has them; NULL: nobody was asked */
    const char *asked_about;        /* the mark whose outcome that is: "change", "load", or "": an act's */
    uint64_t orders_ns, change_begun_ns;    /* when what is done now was ordered; when its change was begun */

    struct { pid_t pid; int pid_fd; uint64_t until_ns; } stopped[DIRECTOR_STOPPED_MAX];
    unsigned n_stopped;
    json_t *marks, *outcomes;       /* arrays: the last ones */
    struct director_effect effects[DIRECTOR_EFFECTS_MAX];
    bool changed;                   /* the state has to be told again */
    bool said_ok;
    char said[512];                 /* "": nothing yet */
};

/* stage to tell are set by the owner before. finish: also ends what is stopped. */
void director_begin(struct director *director);
void director_finish(struct director *director);

/* Each does what it is asked, and tells; false, with a sentence in director->said, when it cannot. */
bool director_change(struct director *director, const struct order_change *change);
bool director_go(struct director *director);
bool director_cancel(struct director *director);
bool director_load(struct director *director, const struct order_load *load);
bool director_act(struct director *director, enum order_act act, pid_t pid);
bool director_ask(struct director *director, bool on);

/* The class may say what it likes, but not on the page: NULL, or why it does not count. */
const char *director_vote(struct director *director, const char *who, enum vote_speed speed, enum vote_errors errors);

/* name NULL: ends it. */
bool director_lesson(struct director *director, const char *name, unsigned step);

/* Several times a second: what has come to its end. */
void director_look(struct director *director);

/* Parts of what pages are told; README.md. */
json_t *director_state(const struct director *director, const char *who);
json_t *director_lessons_json(const struct director *director);
json_t *director_wish_json(const struct director *director);
json_t *director_question_json(const struct director *director);
json_t *director_load_json(const struct order_load *load);

#endif
