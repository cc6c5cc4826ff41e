/* switchboard lab: a class watches a real server at work. What it promises: switchboard-lab(1). */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../clock.h"
#include "../descriptors.h"
#include "../program.h"
#include "../signals.h"
#include "options.h"
#include "site.h"

#define FRAME_NS 66666667
#define IDLE_LOOK_MS 100            /* how often is looked at the server while nobody looks on */

static volatile sig_atomic_t ended;

static void on_end(int signo)
{
    (void)signo;
    ended = 1;
}

struct lab {
    struct stage stage;
    struct crowd crowd;
    struct numbers numbers;
    struct director director;
    struct site site;
    uint64_t next_frame_ns, next_numbers_ns, next_look_ns;
    bool watched;
};

/* --- lessons ------------------------------------------------------------------------------------------------------ */

static int check(const char *path)
{
    struct lesson lesson;
    char why[512];
    if (lesson_read(path, &lesson, why, sizeof why) < 0) {
        fprintf(stderr, "switchboard lab: %s: %s\n", path, why);
        return 1;
    }
    printf("%s: %s, %u steps\n", path, lesson.title.in[LESSON_EN], lesson.n_steps);
    lesson_free(&lesson);
    return 0;
}

static int read_built_in(struct director *director)
{
    char why[512];
    director->lessons = calloc(n_lesson_sources + 1, sizeof *director->lessons);
    for (unsigned i = 0; director->lessons && i < n_lesson_sources; i++) {
        const struct lesson_source *source = &lesson_sources[i];
        if (lesson_parse(source->name, source->text, source->size, &director->lessons[director->n_lessons], why,
                         sizeof why) == 0)
            director->n_lessons++;
        else
            fprintf(stderr, "switchboard lab: lesson %s: %s\n", source->name, why);
    }
    return director->lessons ? 0 : 1;
}

static void list_lessons(const struct director *director)
{
    for (unsigned i = 0; i < director->n_lessons; i++)
        printf("%-10s %s\n", director->lessons[i].name, director->lessons[i].title.in[LESSON_EN]);
}

/* In the place of a built-in one of the same name: it may be a copy of that. */
static void add_own(struct director *director, struct lesson own)
{
    unsigned i = 0;
    while (i < director->n_lessons && strcmp(director->lessons[i].name, own.name) != 0)
        i++;
    if (i < director->n_lessons)
        lesson_free(&director->lessons[i]);
    director->lessons[i] = own;
    director->n_lessons += i == director->n_lessons;
}

/* What is no name is a file. *ret_name: of the lesson. */
static int find_lesson(struct director *director, const char *name, const char **ret_name)
{
    char why[512];
    struct lesson own;
    *ret_name = name;
    for (unsigned i = 0; i < director->n_lessons; i++)
        if (strcmp(director->lessons[i].name, name) == 0)
            return 0;
    if (!strchr(name, '/') && !strchr(name, '.')) {
        fprintf(stderr,
                "switchboard lab: there is no lesson '%s': --lesson=help lists them, and ./FILE is one of your own\n",
                name);
        return 2;
    }
    if (lesson_read(name, &own, why, sizeof why) < 0) {
        fprintf(stderr, "switchboard lab: %s: %s\n", name, why);
        return 1;
    }
    *ret_name = own.name;
    add_own(director, own);
    return 0;
}

/* --- going on ----------------------------------------------------------------------------------------------------- */

static void watch(struct lab *lab)
{
    bool watched = site_is_watched(&lab->site);
    if (watched != lab->watched)
        exchange_watch(lab->director.exchange, watched);
    lab->watched = watched;
}

static void take_numbers(struct lab *lab)
{
    const struct sample *sample = numbers_take(&lab->numbers, &lab->stage, &lab->crowd, lab->director.exchange);
    site_tell("numbers", numbers_json(&lab->numbers, sample), &lab->site);
}

static bool is_due(uint64_t *next_ns, uint64_t every_ns, uint64_t now_ns)
{
    if (now_ns < *next_ns)
        return false;
    *next_ns = now_ns - *next_ns > every_ns ? now_ns + every_ns : *next_ns + every_ns;
    return true;
}

static int look(struct lab *lab)
{
    uint64_t now_ns = clock_ns();
    watch(lab);
    if (is_due(&lab->next_look_ns, lab->watched ? FRAME_NS : IDLE_LOOK_MS * UINT64_C(1000000), now_ns)) {
        director_look(&lab->director);
        if (lab->watched)
            site_tell("frame", exchange_frame(lab->director.exchange), &lab->site);
    }
    if (is_due(&lab->next_numbers_ns, NUMBERS_EVERY_NS, now_ns))
        take_numbers(lab);
    int ms = site_run(&lab->site), left_ms = clock_left_ms(lab->next_look_ns);
    return ms >= 0 && ms < left_ms ? ms : left_ms;
}

static void go(struct lab *lab)
{
    while (!ended && lab->stage.pid > 0) {
        int ms = look(lab);
        struct pollfd fds[] = { { .fd = lab->site.page.fd, .events = POLLIN },
                                { .fd = lab->site.room.daemon ? lab->site.room.fd : -1, .events = POLLIN },
                                { .fd = lab->stage.changing && lab->stage.change.pid > 0 ? lab->stage.change.fd : -1,
                                  .events = POLLIN } };
        if (poll(fds, 3, ms) > 0 && fds[2].revents)
            lab->next_look_ns = 0;
    }
}

/* --- the beginning and the end ------------------------------------------------------------------------------------ */

static const char *wildcard_note(const char *host)
{
    bool all = strncmp(host, "0.0.0.0:", 8) == 0 || strncmp(host, "[::]:", 5) == 0;
    return all ? "  (with this machine's address in the place of the zeroes)" : "";
}

static void print_addresses(const struct lab *lab)
{
    char text[SB_ADDRESS_TEXT_SIZE];
    printf("The lab is at http://%s/?token=%s%s\n", lab->site.page.host, lab->site.page.token,
           wildcard_note(lab->site.page.host));
    if (lab->site.room.daemon)
        printf("The class votes at http://%s/%s\n", lab->site.room.host, wildcard_note(lab->site.room.host));
    for (unsigned i = 0; i < lab->stage.n_addresses; i++)
        printf("The server listens at %s\n", sb_address_format(&lab->stage.addresses[i], text));
    printf("Control-C ends all.\n");
    program_flush();
}

static struct order_load first_load(const struct lab_options *options)
{
    struct order_load load = { .kind = ORDER_SHORT, .callers = options->callers, .think_ms = 50 };
    if (strcmp(options->words[0], "play") == 0)
        strcpy(load.question, "sleep 20");
    if (strcmp(options->words[0], "sleep") == 0)
        strcpy(load.question, "20");
    return load;
}

static int begin(struct lab *lab, const struct lab_options *options)
{
    struct stage_plan plan;
    struct order_load load = first_load(options);
    char why[256];
    lab_options_plan(options, &plan);
    int status = stage_start(&lab->stage, &plan);
    if (status != 0)
        return status;
    lab->director.zero_ns = clock_ns();
    lab->director.exchange = exchange_new(lab->stage.pid, lab->director.zero_ns);
    if (!lab->director.exchange) {
        fprintf(stderr, "switchboard lab: out of memory\n");
        return 1;
    }
    exchange_look(lab->director.exchange);
    director_begin(&lab->director);
    numbers_begin(&lab->numbers, &lab->stage, &lab->crowd, lab->director.zero_ns);
    status = site_start(&lab->site, options->page, options->room);
    exchange_watch(lab->director.exchange, false);
    if (status == 0 && !crowd_set(&lab->crowd, &lab->stage, &load, why, sizeof why)) {
        fprintf(stderr, "switchboard lab: %s\n", why);
        status = 1;
    }
    return status;
}

static int run(struct lab *lab, const struct lab_options *options)
{
    const char *name = NULL;
    int status = read_built_in(&lab->director);
    if (status == 0 && options->lesson && strcmp(options->lesson, "help") == 0) {
        list_lessons(&lab->director);
        return 0;
    }
    if (status == 0 && options->lesson)
        status = find_lesson(&lab->director, options->lesson, &name);
    if (status == 0)
        status = begin(lab, options);
    if (status != 0)
        return ended ? 0 : status;
    print_addresses(lab);
    if (name)
        director_lesson(&lab->director, name, 0);
    go(lab);
    if (!ended)
        fprintf(stderr, "switchboard lab: the server has ended, and the lab with it\n");
    return !ended;
}

static void finish(struct lab *lab)
{
    site_stop(&lab->site);
    crowd_finish(&lab->crowd);
    director_finish(&lab->director);
    stage_stop(&lab->stage);
    exchange_free(lab->director.exchange);
}

int main(int argc, char **argv)
{
    static struct lab lab;
    struct lab_options options;
    program_begin("switchboard lab");
    lab_options_parse(argc, argv, &options);
    if (options.check)
        return check(options.check);
    signals_end_by(SIGINT, on_end);
    signals_end_by(SIGTERM, on_end);
    signals_end_by(SIGHUP, on_end);
    signals_survive(SIGPIPE);
    descriptors_raise();
    lab.director.stage = &lab.stage;
    lab.director.crowd = &lab.crowd;
    lab.director.numbers = &lab.numbers;
    lab.director.tell = site_tell;
    lab.director.data_of_tell = &lab.site;
    lab.site.director = &lab.director;
    int status = run(&lab, &options);
    finish(&lab);
    return status;
}
