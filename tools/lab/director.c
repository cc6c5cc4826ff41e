#include "director.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "../clock.h"
#include "../text_json.h"

#define STOPPED_NS UINT64_C(2000000000)

static double now_ms(const struct director *director)
{
    return (double)(clock_ns() - director->zero_ns) / 1e6;
}

__attribute__((format(printf, 3, 4))) static bool say(struct director *director, bool ok, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(director->said, sizeof director->said, format, arguments);
    va_end(arguments);
    director->said_ok = ok;
    director->changed = true;
    return ok;
}

void director_begin(struct director *director)
{
    director->lesson = director->step = -1;
    director->marks = json_array();
    director->outcomes = json_array();
    director->changed = true;
}

/* --- marks and what came of them ---------------------------------------------------------------------------------- */

static void keep(json_t *list, json_t *entry)
{
    json_array_append(list, entry);
    if (json_array_size(list) > DIRECTOR_KEPT_MAX)
        json_array_remove(list, 0);
}

/* All that is still looked at is disturbed by what comes now. A lesson's step and a death by our own hand are part of
 * what was done already. */
static void disturb(struct director *director)
{
    uint64_t now_ns = clock_ns();
    for (unsigned i = 0; i < DIRECTOR_EFFECTS_MAX; i++)
        if (director->effects[i].happened_ns > 0)
            director->effects[i].disturbed |= now_ns > director->effects[i].happened_ns + 1000000;
}

/* Whether anything was done in the window before, but what belongs to the same orders. */
static bool was_disturbed(const struct director *director, uint64_t begun_ns)
{
    double from = (double)(int64_t)(begun_ns - EFFECT_WINDOW_NS - director->zero_ns) / 1e6;
    double until = (double)(int64_t)(director->orders_ns - director->zero_ns) / 1e6;
    size_t n;
    const json_t *mark;
    json_array_foreach(director->marks, n, mark) {
        const char *what = json_string_value(json_object_get(mark, "what"));
        double t = json_number_value(json_object_get(mark, "t"));
        if (t >= from && t < until && strcmp(what, "lesson") != 0 && strcmp(what, "died") != 0)
            return true;
    }
    return false;
}

static bool is_asked_about(const struct director *director, const json_t *mark)
{
    const char *what = json_string_value(json_object_get(mark, "what")), *about = director->asked_about;
    bool acts = strcmp(what, "change") != 0 && strcmp(what, "load") != 0;
    return director->votes_of_orders && (about[0] ? strcmp(what, about) == 0 : acts);
}

static void forget_votes(struct director *director)
{
    json_decref(director->votes_of_orders);
    director->votes_of_orders = NULL;
}

static void expect_effect(struct director *director, json_t *mark, uint64_t begun_ns, bool disturbed)
{
    json_t *votes = NULL;
    if (is_asked_about(director, mark)) {
        votes = director->votes_of_orders;
        director->votes_of_orders = NULL;
    }
    for (unsigned i = 0; i < DIRECTOR_EFFECTS_MAX; i++) {
        struct director_effect *effect = &director->effects[i];
        if (effect->happened_ns > 0)
            continue;
        *effect = (struct director_effect){ .begun_ns = begun_ns, .happened_ns = clock_ns(), .disturbed = disturbed,
                                            .mark = json_incref(mark), .votes = votes };
        return;
    }
    json_decref(votes);
}

/* Takes the mark, whose t is now. begun_ns: of what has an effect to be waited for; 0: it has none. */
static void mark(struct director *director, json_t *made, uint64_t begun_ns)
{
    json_object_set_new(made, "t", number_json(now_ms(director)));
    if (begun_ns > 0) {
        disturb(director);
        expect_effect(director, made, begun_ns, was_disturbed(director, begun_ns));
    }
    keep(director->marks, made);
    director->tell("mark", made, director->data_of_tell);
}

static void conclude(struct director *director, struct director_effect *effect)
{
    json_t *outcome = effect_json(director->numbers, effect->begun_ns, effect->happened_ns, effect->disturbed);
    json_object_set_new(outcome, "t", number_json(now_ms(director)));
    json_object_set_new(outcome, "mark", effect->mark);
    json_object_set_new(outcome, "votes", effect->votes ? effect->votes : json_null());
    *effect = (struct director_effect){ .happened_ns = 0 };
    keep(director->outcomes, outcome);
    director->tell("outcome", outcome, director->data_of_tell);
    director->changed = true;
}

static void look_for_effects(struct director *director)
{
    for (unsigned i = 0; i < DIRECTOR_EFFECTS_MAX; i++) {
        struct director_effect *effect = &director->effects[i];
        if (effect->happened_ns > 0 && clock_ns() >= effect_due_ns(effect->happened_ns))
            conclude(director, effect);
    }
}

/* --- as JSON ------------------------------------------------------------------------------------------------------ */

static json_t *word(const char *text)
{
    return text[0] ? text_json(text) : json_null();
}

static json_t *options_json(const char (*options)[ORDER_TEXT_SIZE], unsigned count)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < count; i++)
        json_array_append_new(list, text_json(options[i]));
    return list;
}

static json_t *play_json(const struct stage_play *play)
{
    return json_pack("{s:o, s:o, s:o, s:o}", "strategy", text_json(play->strategy), "accept",
                     text_json(play->accept[0] ? play->accept : "shared"), "handler", text_json(play->handler),
                     "options", options_json(play->options, play->n_options));
}

json_t *director_load_json(const struct order_load *load)
{
    return json_pack("{s:s, s:i, s:f, s:i, s:o}", "kind", order_kind_names[load->kind], "callers", (int)load->callers,
                     "rate", load->rate, "think_ms", (int)load->think_ms, "question", text_json(load->question));
}

json_t *director_wish_json(const struct director *director)
{
    const struct order_change *wish = &director->pending.change;
    if (!director->has_pending)
        return json_null();
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "strategy", word(wish->strategy), "accept", word(wish->accept),
                     "workers", word(wish->workers), "handler", word(wish->handler), "options",
                     options_json(wish->options, wish->n_options));
}

static json_t *lesson_text_json(const struct lesson_text *text)
{
    const char *english = text ? text->in[LESSON_EN] : NULL, *chinese = text ? text->in[LESSON_ZH] : NULL;
    return english ? json_pack("{s:s, s:s}", "en", english, "zh", chinese ? chinese : english) : json_null();
}

json_t *director_question_json(const struct director *director)
{
    return lesson_text_json(director->question);
}

static json_t *stopped_json(const struct director *director)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < director->n_stopped; i++)
        json_array_append_new(list, json_integer(director->stopped[i].pid));
    return list;
}

static json_t *server_json(const struct director *director)
{
    const struct stage *stage = director->stage;
    const char *strategy, *handler;
    pid_t pid;
    json_t *made = play_json(&stage->now);
    json_object_set_new(made, "up", json_boolean(stage->pid > 0));
    json_object_set_new(made, "pid", json_integer(stage->pid));
    json_object_set_new(made, "changing", json_boolean(stage->changing));
    if (exchange_serving(director->exchange, &pid, &strategy, &handler)) {
        json_object_set_new(made, "strategy", text_json(strategy));
        json_object_set_new(made, "handler", text_json(handler));
    }
    return made;
}

static json_t *beside_json(const struct crowd *crowd)
{
    return json_pack("{s:i, s:i, s:i, s:i}", "slow", (int)crowd_count(crowd, CROWD_SLOW), "hold",
                     (int)crowd_count(crowd, CROWD_HOLD), "burst", (int)crowd_count(crowd, CROWD_BURST_OF_CALLERS),
                     "crash", (int)crowd_count(crowd, CROWD_CRASH));
}

static json_t *ask_json(const struct director *director, const char *who)
{
    return json_pack("{s:b, s:o, s:o, s:o, s:o, s:o}", "on", director->asks, "pending", director_wish_json(director),
                     "question", director_question_json(director), "votes", votes_speed_json(&director->votes),
                     "errors", votes_errors_json(&director->votes), "mine", votes_own_json(&director->votes, who));
}

static json_t *said_json(const struct director *director)
{
    return director->said[0] ? json_pack("{s:b, s:o}", "ok", director->said_ok, "text", text_json(director->said))
                             : json_null();
}

json_t *director_state(const struct director *director, const char *who)
{
    json_t *lesson = director->lesson < 0 ? json_null()
                   : json_pack("{s:o, s:i}", "name", text_json(director->lessons[director->lesson].name), "step",
                               director->step);
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "t", number_json(now_ms(director)), "server",
                     server_json(director), "load", director_load_json(&director->crowd->load), "beside",
                     beside_json(director->crowd), "stopped", stopped_json(director), "ask", ask_json(director, who),
                     "lesson", lesson, "said", said_json(director));
}

static json_t *steps_json(const struct lesson *lesson)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < lesson->n_steps; i++) {
        const struct lesson_step *step = &lesson->steps[i];
        json_array_append_new(list,
                              json_pack("{s:o, s:o, s:o}", "text", lesson_text_json(&step->text), "ask",
                                        lesson_text_json(&step->ask), "explain", lesson_text_json(&step->explain)));
    }
    return list;
}

json_t *director_lessons_json(const struct director *director)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < director->n_lessons; i++) {
        const struct lesson *lesson = &director->lessons[i];
        json_array_append_new(list, json_pack("{s:o, s:o, s:o, s:o}", "name", text_json(lesson->name), "title",
                                              lesson_text_json(&lesson->title), "source",
                                              lesson->source ? json_string(lesson->source) : json_null(), "steps",
                                              steps_json(lesson)));
    }
    return list;
}

/* --- changes ------------------------------------------------------------------------------------------------------ */

static void take_votes(struct director *director)
{
    const struct director_orders *orders = &director->pending;
    forget_votes(director);
    director->votes_of_orders = director->votes.count > 0 ? votes_json(&director->votes) : NULL;
    director->asked_about = !order_change_is_empty(&orders->change) ? "change" : orders->n_acts > 0 ? "" : "load";
}

static bool start_change(struct director *director, const struct order_change *change)
{
    char why[256];
    if (!stage_change(director->stage, change, why, sizeof why))
        return say(director, false, "%s", why);
    director->change_begun_ns = clock_ns();
    director->changed = true;
    return true;
}

static bool wait_for_votes(struct director *director, const struct director_orders *orders,
                           const struct lesson_text *question)
{
    director->has_pending = true;
    director->pending = *orders;
    director->question = question;
    votes_clear(&director->votes);
    director->changed = true;
    return true;
}

static bool set_load(struct director *director, const struct order_load *load)
{
    char why[256];
    if (!crowd_set(director->crowd, director->stage, load, why, sizeof why))
        return say(director, false, "%s", why);
    mark(director, json_pack("{s:s, s:o}", "what", "load", "load", director_load_json(load)), clock_ns());
    director->changed = true;
    return true;
}

static bool send_callers(struct director *director, enum order_act act)
{
    char why[256];
    if (!crowd_act(director->crowd, director->stage, act, why, sizeof why))
        return say(director, false, "%s", why);
    mark(director, json_pack("{s:s}", "what", order_act_names[act]), clock_ns());
    director->changed = true;
    return true;
}

static bool act_each(struct director *director, const enum order_act *acts, unsigned count)
{
    bool done = true;
    for (unsigned i = 0; done && i < count; i++)
        done = send_callers(director, acts[i]);
    return done;
}

static bool carry_out(struct director *director, const struct director_orders *orders)
{
    director->orders_ns = clock_ns();
    if (orders->has_load && !set_load(director, &orders->load))
        return false;
    if (order_change_is_empty(&orders->change))
        return act_each(director, orders->acts, orders->n_acts);
    if (!start_change(director, &orders->change))
        return false;
    memcpy(director->following, orders->acts, sizeof director->following);
    director->n_following = orders->n_acts;
    return true;
}

bool director_change(struct director *director, const struct order_change *change)
{
    const struct director_orders orders = { .change = *change };
    if (order_change_is_empty(change))
        return say(director, false,
                   "nothing is to change: choose a strategy, a discipline, workers, a handler or an option");
    return director->asks ? wait_for_votes(director, &orders, NULL) : carry_out(director, &orders);
}

static void stop_waiting(struct director *director)
{
    director->has_pending = false;
    director->question = NULL;
    director->changed = true;
}

bool director_go(struct director *director)
{
    if (!director->has_pending)
        return say(director, false, "no change is waiting");
    if (director->stage->changing)
        return say(director, false, "the change before is still under way");
    take_votes(director);
    bool done = carry_out(director, &director->pending);
    if (!done)
        forget_votes(director);
    stop_waiting(director);
    return done;
}

bool director_cancel(struct director *director)
{
    stop_waiting(director);
    return true;
}

bool director_ask(struct director *director, bool on)
{
    director->asks = on;
    director->changed = true;
    if (!on)
        stop_waiting(director);
    return true;
}

const char *director_vote(struct director *director, const char *who, enum vote_speed speed, enum vote_errors errors)
{
    if (!director->has_pending)
        return "nothing is asked at this moment";
    if (!votes_take(&director->votes, who, speed, errors))
        return "there is no room for another vote";
    director->changed = true;
    return NULL;
}

/* An old one that serves no more adds to another number than the new one. */
static void begin_sum(struct director *director)
{
    uint64_t answers, largest;
    char why[256];
    const struct order_load load = director->crowd->load;
    if (crowd_sum(director->crowd, &answers, &largest))
        crowd_set(director->crowd, director->stage, &load, why, sizeof why);
}

/* What a number of workers has made of a strategy the scoreboard tells. */
static void see_what_serves(struct director *director)
{
    const char *strategy, *handler;
    pid_t pid;
    if (exchange_serving(director->exchange, &pid, &strategy, &handler))
        snprintf(director->stage->now.strategy, ORDER_TEXT_SIZE, "%s", strategy);
}

static void look_for_change(struct director *director)
{
    static const char command[] = "switchboard switch: ";
    struct stage *stage = director->stage;
    const struct stage_play before = stage->now;
    if (!stage_look(stage))
        return;
    const char *said = stage->change.text + (strncmp(stage->change.text, command, strlen(command)) == 0
                                             ? strlen(command) : 0);
    if (stage->change.status != 0) {
        say(director, false, "%s", said);
        forget_votes(director);
        director->n_following = 0;
        return;
    }
    see_what_serves(director);
    begin_sum(director);
    say(director, true, "%s", said);
    mark(director,
         json_pack("{s:s, s:o, s:o}", "what", "change", "from", play_json(&before), "to", play_json(&stage->now)),
         director->change_begun_ns);
    act_each(director, director->following, director->n_following);
    director->n_following = 0;
}

/* --- the load ----------------------------------------------------------------------------------------------------- */

bool director_load(struct director *director, const struct order_load *load)
{
    director->orders_ns = clock_ns();
    return set_load(director, load);
}

static void look_for_callers(struct director *director)
{
    struct crowd *crowd = director->crowd;
    director->changed |= crowd_look(crowd);
    if (crowd->why[0])
        say(director, false, "there are callers that could not call: %s", crowd->why);
    crowd->why[0] = '\0';
}

/* --- processes ---------------------------------------------------------------------------------------------------- */

/* Only the server's own, and by a descriptor, so that nobody else's can get the signal. */
static int open_worker(struct director *director, pid_t pid)
{
    int pid_fd = pid > 0 ? pidfd_open(pid, 0) : -1;
    if (pid_fd >= 0 && exchange_workers_of(director->exchange, pid) > 0)
        return pid_fd;
    if (pid_fd >= 0)
        close(pid_fd);
    say(director, false, "there is no worker with pid %d (any more)", (int)pid);
    return -1;
}

static bool kill_worker(struct director *director, pid_t pid)
{
    unsigned workers = exchange_workers_of(director->exchange, pid);
    int pid_fd = open_worker(director, pid);
    if (pid_fd < 0)
        return false;
    pidfd_send_signal(pid_fd, SIGKILL, NULL, 0);
    close(pid_fd);
    mark(director, json_pack("{s:s, s:i}", "what", "kill", "pid", (int)pid), clock_ns());
    return workers > 1 ? say(director, true, "process %d was killed, with the %u workers in it", (int)pid, workers)
                       : say(director, true, "process %d was killed", (int)pid);
}

static bool is_stopped(const struct director *director, pid_t pid)
{
    for (unsigned i = 0; i < director->n_stopped; i++)
        if (director->stopped[i].pid == pid)
            return true;
    return false;
}

static bool stop_worker(struct director *director, pid_t pid)
{
    if (is_stopped(director, pid))
        return say(director, false, "process %d is stopped already", (int)pid);
    if (director->n_stopped == DIRECTOR_STOPPED_MAX)
        return say(director, false, "so many processes are stopped already: wait two seconds");
    int pid_fd = open_worker(director, pid);
    if (pid_fd < 0)
        return false;
    pidfd_send_signal(pid_fd, SIGSTOP, NULL, 0);
    director->stopped[director->n_stopped].pid = pid;
    director->stopped[director->n_stopped].pid_fd = pid_fd;
    director->stopped[director->n_stopped++].until_ns = clock_ns() + STOPPED_NS;
    mark(director, json_pack("{s:s, s:i}", "what", "stop", "pid", (int)pid), clock_ns());
    return say(director, true, "process %d is stopped for two seconds", (int)pid);
}

static void let_go(struct director *director, unsigned n)
{
    pidfd_send_signal(director->stopped[n].pid_fd, SIGCONT, NULL, 0);
    close(director->stopped[n].pid_fd);
    director->stopped[n] = director->stopped[--director->n_stopped];
    director->changed = true;
}

bool director_act(struct director *director, enum order_act act, pid_t pid)
{
    director->orders_ns = clock_ns();
    if (act == ORDER_KILL || act == ORDER_STOP)
        return act == ORDER_KILL ? kill_worker(director, pid) : stop_worker(director, pid);
    return send_callers(director, act);
}

/* --- lessons ------------------------------------------------------------------------------------------------------ */

static int find_lesson(const struct director *director, const char *name)
{
    for (unsigned i = 0; i < director->n_lessons; i++)
        if (strcmp(director->lessons[i].name, name) == 0)
            return (int)i;
    return -1;
}

static bool enter(struct director *director, const struct lesson_step *step)
{
    struct director_orders orders = {
        .has_load = step->sets_load, .load = director->crowd->load, .change = step->change, .n_acts = step->n_acts
    };
    lesson_apply_load(step, &orders.load);
    memcpy(orders.acts, step->acts, sizeof orders.acts);
    return step->ask.in[LESSON_EN] ? wait_for_votes(director, &orders, &step->ask) : carry_out(director, &orders);
}

bool director_lesson(struct director *director, const char *name, unsigned step)
{
    int found = name ? find_lesson(director, name) : -1;
    if (!name) {
        stop_waiting(director);
        director->lesson = director->step = -1;
        return true;
    }
    if (found < 0 || step >= director->lessons[found].n_steps)
        return say(director, false, "there is no such lesson, or no such step in it");
    if (director->stage->changing)
        return say(director, false, "the change before is still under way");
    stop_waiting(director);
    director->lesson = found;
    director->step = (int)step;
    mark(director, json_pack("{s:s, s:o, s:i}", "what", "lesson", "name", text_json(name), "step", (int)step), 0);
    return enter(director, &director->lessons[found].steps[step]);
}

/* --- looking ------------------------------------------------------------------------------------------------------ */

void director_look(struct director *director)
{
    bool was_up = director->stage->pid > 0;
    pid_t died;
    for (unsigned i = director->n_stopped; i-- > 0;)
        if (clock_ns() >= director->stopped[i].until_ns)
            let_go(director, i);
    died = exchange_look(director->exchange);
    look_for_change(director);
    look_for_callers(director);
    if (died > 0)
        mark(director, json_pack("{s:s, s:i}", "what", "died", "pid", (int)died), 0);
    if (was_up && director->stage->pid == 0)
        say(director, false, "the server has ended");
    look_for_effects(director);
}

void director_finish(struct director *director)
{
    while (director->n_stopped > 0)
        let_go(director, director->n_stopped - 1);
    for (unsigned i = 0; i < DIRECTOR_EFFECTS_MAX; i++) {
        json_decref(director->effects[i].mark);
        json_decref(director->effects[i].votes);
    }
    json_decref(director->votes_of_orders);
    json_decref(director->marks);
    json_decref(director->outcomes);
    for (unsigned i = 0; i < director->n_lessons; i++)
        lesson_free(&director->lessons[i]);
    free(director->lessons);
}
