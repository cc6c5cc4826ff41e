#include "site.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../clock.h"
#include "catalogue.h"
#include "config.h"

static double now_ms(const struct site *site)
{
    return (double)(clock_ns() - site->director->zero_ns) / 1e6;
}

/* Takes the data; NULL: no memory. */
static char *dump(json_t *data)
{
    char *text = data ? json_dumps(data, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;
    json_decref(data);
    return text;
}

/* --- what is told ------------------------------------------------------------------------------------------------- */

static void record_at(struct site *site, double t, const char *event, const char *text)
{
    if (!site->record.on)
        return;
    record_add(&site->record, t, event, text);
    site->director->changed |= !site->record.on;
}

static void record(struct site *site, const char *event, const char *text)
{
    record_at(site, now_ms(site), event, text);
}

void site_tell(const char *event, json_t *data, void *data_of_tell)
{
    struct site *site = data_of_tell;
    char *text = dump(data);
    if (!text)
        return;
    viewers_send(&site->viewers, event, text);
    record(site, event, text);
    free(text);
}

static json_t *addresses_json(const struct stage *stage)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < stage->n_addresses; i++) {
        char text[SB_ADDRESS_TEXT_SIZE];
        json_array_append_new(list, json_string(sb_address_format(&stage->addresses[i], text)));
    }
    return list;
}

static json_t *history_json(const struct numbers *numbers)
{
    const struct sample *sample;
    json_t *list = json_array();
    for (unsigned n = 0; (sample = numbers_get(numbers, n)) != NULL; n++)
        json_array_append_new(list, numbers_json(numbers, sample));
    return list;
}

static json_t *room_json(const struct site *site)
{
    return site->room.daemon ? json_sprintf("http://%s/", site->room.host) : json_null();
}

static char *hello(const struct site *site)
{
    static const char *const disciplines[] = { "shared", "mutex", "flock", "pass", "reuseport" };
    const struct director *director = site->director;
    return dump(json_pack("{s:s, s:o, s:i, s:o, s:O, s:O, s:o, s:o, s:O, s:o, s:o, s:O, s:O}", "version", VERSION, "t",
                          number_json(now_ms(site)), "pid", (int)getpid(), "addresses", addresses_json(director->stage),
                          "handlers", site->handlers, "strategies", site->strategies, "disciplines",
                          catalogue_names(disciplines, 5), "kinds", catalogue_names(order_kind_names, ORDER_KINDS),
                          "lessons", site->lessons, "room", room_json(site), "numbers", history_json(director->numbers),
                          "marks", director->marks, "outcomes", director->outcomes));
}

static char *state(const struct site *site, const char *who)
{
    json_t *made = director_state(site->director, who);
    json_object_set_new(made, "recording", json_boolean(site->record.on));
    json_object_set_new(made, "recorded", json_integer(site->record.file ? (json_int_t)site->record.size : 0));
    return dump(made);
}

static char *room_state(const struct site *site, const char *who)
{
    const struct director *director = site->director;
    size_t outcomes = json_array_size(director->outcomes);
    json_t *last = outcomes > 0 ? json_incref(json_array_get(director->outcomes, outcomes - 1)) : json_null();
    return dump(json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:s}", "question", director_question_json(director),
                          "pending", director_wish_json(director), "votes", votes_speed_json(&director->votes),
                          "errors", votes_errors_json(&director->votes), "mine", votes_own_json(&director->votes, who),
                          "outcome", last, "strategy", director->stage->now.strategy));
}

/* Takes the text. False: it could not be told, and is to be told everything later. */
static bool send_text(struct viewer *viewer, const char *event, char *text)
{
    bool sent = text && viewer_send(viewer, event, text);
    free(text);
    return sent;
}

static void welcome(struct site *site)
{
    struct viewer *viewer;
    for (unsigned i = site->viewers.count; i > 0 && (viewer = viewers_next_fresh(&site->viewers)) != NULL; i--)
        if (send_text(viewer, "hello", hello(site)) && send_text(viewer, "state", state(site, viewer_who(viewer))))
            send_text(viewer, "frame", dump(exchange_full(site->director->exchange)));
    for (unsigned i = site->voters.count; i > 0 && (viewer = viewers_next_fresh(&site->voters)) != NULL; i--)
        send_text(viewer, "room", room_state(site, viewer_who(viewer)));
}

static void tell_room(struct viewer *viewer, void *data)
{
    send_text(viewer, "room", room_state(data, viewer_who(viewer)));
}

static void tell_state(struct site *site)
{
    char *text = state(site, site->page.token);
    site->director->changed = false;
    if (text) {
        viewers_send(&site->viewers, "state", text);
        record(site, "state", text);
    }
    free(text);
    viewers_each(&site->voters, tell_room, site);
}

/* --- what is asked for -------------------------------------------------------------------------------------------- */

static bool take_word(const json_t *body, const char *key, char text[ORDER_TEXT_SIZE])
{
    const json_t *value = json_object_get(body, key);
    if (!value || json_is_null(value))
        return true;
    if (!json_is_string(value) || json_string_length(value) >= ORDER_TEXT_SIZE ||
        strlen(json_string_value(value)) != json_string_length(value) || strpbrk(json_string_value(value), "\r\n"))
        return false;
    strcpy(text, json_string_value(value));
    return true;
}

static bool take_options(const json_t *body, struct order_change *change)
{
    const json_t *list = json_object_get(body, "options"), *option;
    size_t n;
    if (!list || json_is_null(list))
        return true;
    if (!json_is_array(list) || json_array_size(list) > ORDER_OPTIONS_MAX)
        return false;
    json_array_foreach(list, n, option) {
        if (!json_is_string(option) || json_string_length(option) >= ORDER_TEXT_SIZE)
            return false;
        strcpy(change->options[change->n_options++], json_string_value(option));
    }
    return true;
}

static const char *ask_change(struct site *site, const json_t *body)
{
    struct order_change change = { .n_options = 0 };
    if (!take_word(body, "strategy", change.strategy) || !take_word(body, "accept", change.accept) ||
        !take_word(body, "workers", change.workers) || !take_word(body, "handler", change.handler) ||
        !take_options(body, &change))
        return "a change has strategy, accept, workers, handler, each a short text, and options, a list of them";
    return director_change(site->director, &change) ? NULL : site->director->said;
}

static bool take_number(const json_t *body, const char *key, double most, double *number)
{
    const json_t *value = json_object_get(body, key);
    if (!value || json_is_null(value))
        return true;
    *number = json_number_value(value);
    return json_is_number(value) && *number >= 0 && *number <= most;
}

static const char *ask_load(struct site *site, const json_t *body)
{
    struct order_load load = site->director->crowd->load;
    double callers = load.callers, rate = load.rate, think_ms = load.think_ms;
    char kind[ORDER_TEXT_SIZE];
    strcpy(kind, order_kind_names[load.kind]);
    if (!take_word(body, "kind", kind) || !take_number(body, "callers", ORDER_CALLERS_MAX, &callers) ||
        !take_number(body, "rate", ORDER_RATE_MAX, &rate) ||
        !take_number(body, "think_ms", ORDER_THINK_MS_MAX, &think_ms) || !take_word(body, "question", load.question) ||
        order_find(order_kind_names, ORDER_KINDS, kind) < 0)
        return "a load has a kind, up to 10000 callers, a rate up to 1000000, up to 60000 ms to think, and a question "
               "of one "
               "short line";
    load.kind = (enum order_kind)order_find(order_kind_names, ORDER_KINDS, kind);
    load.callers = (unsigned)callers;
    load.rate = rate;
    load.think_ms = (unsigned)think_ms;
    return director_load(site->director, &load) ? NULL : site->director->said;
}

static const char *ask_act(struct site *site, const json_t *body)
{
    const char *what = json_string_value(json_object_get(body, "what"));
    int act = order_find(order_act_names, ORDER_ACTS, what ? what : "");
    if (act < 0)
        return "an act is slow, silent, burst, crash, hold, release, kill or stop";
    pid_t pid = (pid_t)json_integer_value(json_object_get(body, "pid"));
    return director_act(site->director, (enum order_act)act, pid) ? NULL : site->director->said;
}

static const char *ask_go(struct site *site, const json_t *body)
{
    (void)body;
    return director_go(site->director) ? NULL : site->director->said;
}

static const char *ask_cancel(struct site *site, const json_t *body)
{
    (void)body;
    return director_cancel(site->director) ? NULL : site->director->said;
}

static const char *ask_asking(struct site *site, const json_t *body)
{
    return director_ask(site->director, json_is_true(json_object_get(body, "on"))) ? NULL : site->director->said;
}

static const char *ask_lesson(struct site *site, const json_t *body)
{
    json_int_t step = json_integer_value(json_object_get(body, "step"));
    return director_lesson(site->director, json_string_value(json_object_get(body, "name")),
                           step < 0 || step > LESSON_STEPS_MAX ? LESSON_STEPS_MAX : (unsigned)step)
           ? NULL : site->director->said;
}

static const char *take_vote(struct site *site, const json_t *body, const char *who)
{
    const char *speed = json_string_value(json_object_get(body, "speed"));
    const char *errors = json_string_value(json_object_get(body, "errors"));
    int which = order_find(vote_speed_names, VOTE_SPEEDS, speed ? speed : "");
    int how_many = order_find(vote_errors_names, VOTE_ERRORS, errors ? errors : "");
    if (which < 0 || how_many < 0)
        return "a vote is faster, slower or same, and none or some";
    return director_vote(site->director, who, (enum vote_speed)which, (enum vote_errors)how_many);
}

static const char *ask_record(struct site *site, const json_t *body)
{
    bool on = json_is_true(json_object_get(body, "on"));
    site->director->changed = true;
    if (!on) {
        record_end(&site->record);
        return NULL;
    }
    if (!site_is_watched(site))
        exchange_watch(site->director->exchange, true);
    int r = record_begin(&site->record);
    if (r < 0)
        return strerror(-r);
    char *texts[] = { hello(site), state(site, ""), dump(exchange_full(site->director->exchange)) };
    static const char *const events[] = { "hello", "state", "frame" };
    double t = now_ms(site);
    for (unsigned i = 0; i < 3; i++) {
        if (texts[i])
            record_at(site, t, events[i], texts[i]);
        free(texts[i]);
    }
    return NULL;
}

static const struct {
    const char *path;
    const char *(*ask)(struct site *site, const json_t *body);
} asks[] = {
    { "/change", ask_change }, { "/go", ask_go }, { "/cancel", ask_cancel }, { "/load", ask_load }, { "/act", ask_act },
    { "/ask", ask_asking }, { "/lesson", ask_lesson }, { "/record", ask_record },
};

static const char *find_and_ask(struct site *site, const struct web_request *request, const json_t *body,
                                bool *ret_found)
{
    *ret_found = true;
    if (strcmp(request->path, "/vote") == 0)
        return take_vote(site, body, request->who);
    for (size_t i = 0; i < sizeof asks / sizeof *asks; i++)
        if (strcmp(asks[i].path, request->path) == 0)
            return asks[i].ask(site, body);
    *ret_found = false;
    return NULL;
}

/* --- the sites ---------------------------------------------------------------------------------------------------- */

static bool answer_post(struct site *site, const struct web_request *request, bool votes_only)
{
    bool found;
    json_t *body = json_loads(request->body, 0, NULL);
    if (votes_only && strcmp(request->path, "/vote") != 0) {
        json_decref(body);
        return false;
    }
    const char *why = json_is_object(body) ? find_and_ask(site, request, body, &found) : "that is no JSON object";
    bool answered = why ? web_refuse(request, why) : found && web_answer(request, MHD_HTTP_NO_CONTENT, NULL);
    json_decref(body);
    return answered;
}

static bool send_events(struct viewers *viewers, const struct web_request *request)
{
    struct MHD_Response *response = viewers_add(viewers, request->connection, request->who);
    if (response)
        return web_queue(request->connection, MHD_HTTP_OK, response, "text/event-stream");
    return web_answer(request, MHD_HTTP_SERVICE_UNAVAILABLE, "{\"why\": \"too many look on already\"}");
}

static bool send_recording(struct site *site, const struct web_request *request)
{
    struct stat status;
    int fd = site->record.file && !site->record.on ? fcntl(fileno(site->record.file), F_DUPFD_CLOEXEC, 0) : -1;
    if (fd < 0)
        return false;
    if (fstat(fd, &status) < 0) {
        close(fd);
        return false;
    }
    struct MHD_Response *response = MHD_create_response_from_fd((size_t)status.st_size, fd);
    if (response)
        MHD_add_response_header(response, "Content-Disposition", "attachment; filename=\"switchboard-lab.html\"");
    return web_queue(request->connection, MHD_HTTP_OK, response, "text/html; charset=utf-8");
}

static bool serve_page(const struct web_request *request, void *data)
{
    struct site *site = data;
    if (request->body)
        return answer_post(site, request, false);
    if (strcmp(request->path, "/events") == 0)
        return send_events(&site->viewers, request);
    return strcmp(request->path, "/recording") == 0 && send_recording(site, request);
}

static bool serve_room(const struct web_request *request, void *data)
{
    struct site *site = data;
    if (request->body)
        return answer_post(site, request, true);
    return strcmp(request->path, "/events") == 0 && request->who[0] && send_events(&site->voters, request);
}

int site_start(struct site *site, const char *page, const char *room)
{
    const struct web_site page_site = { .name = "lab", .files = page_files, .index = "/index.html", .needs_token = true,
                                        .connections_of_one = SITE_CONNECTIONS_OF_ONE, .serve = serve_page, .data = site };
    const struct web_site room_site = { .name = "room", .files = room_files, .index = "/room.html",
                                        .connections_of_one = SITE_CONNECTIONS_OF_ONE, .serve = serve_room, .data = site };
    viewers_init(&site->viewers, SITE_VIEWERS_MAX, SITE_VIEWER_BACKLOG);
    viewers_init(&site->voters, SITE_VOTERS_MAX, SITE_VOTER_BACKLOG);
    site->handlers = catalogue_handlers();
    site->strategies = catalogue_strategies();
    site->lessons = director_lessons_json(site->director);
    int status = web_start(&site->page, page, "--page", &page_site);
    return status == 0 && room ? web_start(&site->room, room, "--room", &room_site) : status;
}

bool site_is_watched(const struct site *site)
{
    return site->viewers.count > 0 || site->record.on;
}

int site_run(struct site *site)
{
    welcome(site);
    if (site->director->changed && clock_ns() >= site->next_state_ns) {
        site->next_state_ns = clock_ns() + SITE_STATE_NS;
        tell_state(site);
    }
    int page_ms = web_run(&site->page), room_ms = web_run(&site->room);
    return page_ms < 0 || (room_ms >= 0 && room_ms < page_ms) ? room_ms : page_ms;
}

void site_stop(struct site *site)
{
    viewers_end(&site->viewers);
    viewers_end(&site->voters);
    web_run(&site->page);
    web_run(&site->room);
    web_stop(&site->page);
    web_stop(&site->room);
    record_forget(&site->record);
    json_decref(site->handlers);
    json_decref(site->strategies);
    json_decref(site->lessons);
}
