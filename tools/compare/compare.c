/* switchboard compare: every strategy under the same load. */
#include <errno.h>
#include <limits.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../clock.h"
#include "../descriptors.h"
#include "../program.h"
#include "../signals.h"
#include "contestants.h"
#include "match.h"
#include "options.h"
#include "output.h"
#include "scenario.h"
#include "table.h"

#define DEFAULT_WORKERS 4

/* Of a process besides one for each client: its plugins, its workers' wake-ups, standard streams. */
#define SPARE_DESCRIPTORS 100

/* --- what is to be compared --------------------------------------------------------------------------------------- */

static unsigned workers_of(const struct compare_arguments *arguments, const struct scenario *scenario)
{
    return arguments->workers > 0 ? arguments->workers : scenario->workers > 0 ? scenario->workers : DEFAULT_WORKERS;
}

/* A limit of the machine, said before anything runs. */
static int check_limits(const struct compare_arguments *arguments, const struct match *match)
{
    unsigned clients = match_clients(match->scenario, &arguments->options, match->workers);
    unsigned long most = descriptors_limit();
    if (most >= clients + SPARE_DESCRIPTORS)
        return 0;
    fprintf(stderr, "switchboard compare: %u clients of scenario %s need %u descriptors, but a process may have %lu "
            "here; raise that as root with 'ulimit -Hn %u', or say --clients=N\n", clients, match->scenario->name,
            clients + SPARE_DESCRIPTORS, most, clients + SPARE_DESCRIPTORS);
    return -EMFILE;
}

static int add_match(struct comparison *comparison, const struct compare_arguments *arguments, const struct scenario *scenario)
{
    struct match *match = &comparison->matches[comparison->n_matches++];
    const char *list = arguments->strategies ? arguments->strategies
                     : scenario->strategies ? scenario->strategies : usual_strategies;
    char why[SUBJECT_WHY_SIZE] = "";
    match->scenario = scenario;
    match->workers = workers_of(arguments, scenario);
    int r = contestants_make(list, match->workers, !arguments->strategies, match, why);
    if (r < 0 && r != -ENOMEM)
        fprintf(stderr, "switchboard compare: --strategies: %s\n", why);
    return r < 0 ? r : check_limits(arguments, match);
}

static void complain_of_scenario(const char *name)
{
    fprintf(stderr, "switchboard compare: there is no scenario '%s': choose from", name);
    for (unsigned i = 0; i < n_scenarios; i++)
        fprintf(stderr, " %s,", scenarios[i].name);
    fprintf(stderr, " or all\n");
}

static bool is_chosen(const struct comparison *comparison, const struct scenario *scenario)
{
    for (unsigned i = 0; i < comparison->n_matches; i++)
        if (comparison->matches[i].scenario == scenario)
            return true;
    return false;
}

static int add_named(struct comparison *comparison, const struct compare_arguments *arguments, const char *name)
{
    bool all = strcmp(name, "all") == 0;
    int r = 0;
    if (!all && !scenario_find(name)) {
        complain_of_scenario(name);
        return -EINVAL;
    }
    for (unsigned i = 0; r == 0 && i < n_scenarios; i++)
        if ((all || strcmp(scenarios[i].name, name) == 0) && !is_chosen(comparison, &scenarios[i]))
            r = add_match(comparison, arguments, &scenarios[i]);
    return r;
}

/* A handler that none of the scenarios would ask was meant otherwise. */
static int check_handler(const struct comparison *comparison, const struct compare_arguments *arguments)
{
    const struct match_options *options = &arguments->options;
    if (!options->handler && !options->question && !options->options[0])
        return 0;
    for (unsigned i = 0; i < comparison->n_matches; i++)
        if (!comparison->matches[i].scenario->handler)
            return 0;
    fprintf(stderr, "switchboard compare: scenario %s brings a handler of its own, %s; one of yours is asked by short, "
            "talk, udp, slow, idle, burst and herd\n", comparison->matches[0].scenario->name,
            comparison->matches[0].scenario->handler);
    return -EINVAL;
}

static int choose_matches(struct comparison *comparison, const struct compare_arguments *arguments)
{
    char *names = strdup(arguments->scenarios), *rest = names, *name;
    comparison->matches = calloc(n_scenarios, sizeof *comparison->matches);
    int r = names && comparison->matches ? 0 : -ENOMEM;
    while (r == 0 && (name = strsep(&rest, ",")) != NULL)
        r = add_named(comparison, arguments, name);
    free(names);
    return r == 0 ? check_handler(comparison, arguments) : r;
}

/* --- playing ------------------------------------------------------------------------------------------------------ */

static volatile bool stopped;
static bool wants_files, reader_left;

static void on_signal(int signo)
{
    (void)signo;
    stopped = true;
}

/* Servers and load die with this process. */
static void catch_signals(void)
{
    signals_end_by(SIGINT, on_signal);
    signals_end_by(SIGTERM, on_signal);
    signals_end_by(SIGQUIT, on_signal);
    signals_end_by(SIGHUP, on_signal);
    signals_survive(SIGPIPE);
    signal(SIGCHLD, SIG_DFL);
}

/* Who reads the tables may leave (head(1)). Then nothing more is printed, and nothing more is measured either, unless
 * there is a file to write. */
static void miss_reader(void)
{
    reader_left = true;
    program_mute();
    if (!wants_files)
        stopped = true;
}

static void look_for_reader(void)
{
    struct pollfd out = { .fd = STDOUT_FILENO };
    if (!reader_left && poll(&out, 1, 0) > 0 && (out.revents & POLLERR))
        miss_reader();
}

static int print(const struct comparison *comparison, const struct match *match)
{
    if (reader_left)
        return 0;
    table_print(comparison, match, stdout);
    predict_print(match, stdout);
    int r = program_flush();
    if (r == -EPIPE)
        miss_reader();
    return r == -EPIPE ? 0 : r;
}

/* Why it has ended before its end. */
static void explain(int error)
{
    if (error == -ECANCELED && reader_left && !wants_files)
        fprintf(stderr, "switchboard compare: ended before all was measured, for nobody reads on, and no file was "
                "asked for\n");
    else if (error == -ECANCELED)
        fprintf(stderr, "switchboard compare: interrupted; this is what is known so far\n");
    else
        fprintf(stderr, "switchboard compare: cannot go on: %s\n", strerror(-error));
}

static int play(struct comparison *comparison, const struct compare_arguments *arguments)
{
    int r = 0, written = 0;
    for (unsigned i = 0; r == 0 && (written == 0 || wants_files) && i < comparison->n_matches; i++) {
        struct match *match = &comparison->matches[i];
        r = match_play(comparison, match, &arguments->options);
        if (written == 0)
            written = print(comparison, match);
        comparison->complete = r == 0 && i + 1 == comparison->n_matches;
    }
    if (r < 0)
        explain(r);
    return r < 0 ? r : written;
}

static bool has_run(const struct comparison *comparison)
{
    for (unsigned i = 0; i < comparison->n_matches; i++)
        if (comparison->matches[i].baseline >= 0 && comparison->matches[i].rounds > 0)
            return true;
    return false;
}

/* No server could be started, and each calls the command line the reason. */
static bool is_misused(const struct comparison *comparison)
{
    unsigned misused = 0, all = 0;
    for (unsigned i = 0; i < comparison->n_matches; i++)
        for (unsigned k = 0; k < comparison->matches[i].n_contestants; k++, all++)
            misused += comparison->matches[i].contestants[k].misused;
    return all > 0 && misused == all;
}

static bool has_faults(const struct match *match)
{
    for (unsigned i = 0; i < match->n_contestants; i++)
        if (contestant_spread(&match->contestants[i], WRONG).max > 0 ||
            (match->contestants[i].died && !match->scenario->poisoned))
            return true;
    return false;
}

static int judge(const struct comparison *comparison)
{
    if (!has_run(comparison)) {
        fprintf(stderr, "switchboard compare: nothing could be compared, for the reasons above\n");
        return -EINVAL;
    }
    for (unsigned i = 0; i < comparison->n_matches; i++) {
        if (has_faults(&comparison->matches[i])) {
            fprintf(stderr, "switchboard compare: there were wrong answers, or servers that died: see the verdicts\n");
            return -EBADMSG;
        }
    }
    return 0;
}

struct outputs {
    struct output html, json, csv;
};

static int open_outputs(struct outputs *outputs, const struct compare_arguments *arguments)
{
    int r = arguments->html ? output_open(&outputs->html, arguments->html) : 0;
    if (r == 0 && arguments->json)
        r = output_open(&outputs->json, arguments->json);
    if (r == 0 && arguments->csv)
        r = output_open(&outputs->csv, arguments->csv);
    return r;
}

static int write_outputs(struct outputs *outputs, const struct comparison *comparison)
{
    int html = output_write(&outputs->html, comparison, page_write);
    int json = output_write(&outputs->json, comparison, json_write);
    int csv = output_write(&outputs->csv, comparison, csv_write);
    return html < 0 ? html : json < 0 ? json : csv;
}

static void close_outputs(struct outputs *outputs)
{
    output_close(&outputs->html);
    output_close(&outputs->json);
    output_close(&outputs->csv);
}

static int compare(struct comparison *comparison, const struct compare_arguments *arguments, struct outputs *outputs)
{
    comparison->started = time(NULL);
    machine_look(&comparison->machine);
    for (unsigned i = 0; arguments->predict && i < comparison->n_matches; i++) {
        if (predict_ask(&comparison->matches[i], stdin, stderr, &stopped) < 0) {
            fprintf(stderr, "\nswitchboard compare: no ranking was given, so nothing was run\n");
            return -ECANCELED;
        }
    }
    uint64_t began_ns = clock_ns();
    int r = play(comparison, arguments);
    comparison->seconds = (double)(clock_ns() - began_ns) / 1e9;
    int written = has_run(comparison) ? write_outputs(outputs, comparison) : 0;
    if (r == 0)
        r = judge(comparison);
    return r < 0 ? r : written;
}

static void finish(struct comparison *comparison)
{
    for (unsigned i = 0; i < comparison->n_matches; i++)
        match_finish(&comparison->matches[i]);
    free(comparison->matches);
}

/* The program that serves, beside this one. */
static int find_program(char path[PATH_MAX])
{
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);
    if (length < 0)
        return -errno;
    path[length] = '\0';
    char *slash = strrchr(path, '/');
    if (!slash || slash - path + sizeof "/switchboard" > PATH_MAX)
        return -ENAMETOOLONG;
    strcpy(slash, "/switchboard");
    return access(path, X_OK) < 0 ? -errno : 0;
}

int main(int argc, char **argv)
{
    static char program[PATH_MAX];
    struct compare_arguments arguments;
    struct comparison comparison = { .argc = argc, .argv = argv };
    struct outputs outputs = { 0 };
    program_begin("switchboard compare");
    setlocale(LC_CTYPE, "");
    compare_arguments_parse(argc, argv, &arguments);
    arguments.options.program = program;
    arguments.options.look = look_for_reader;
    arguments.options.stop = &stopped;
    wants_files = arguments.html || arguments.json || arguments.csv;

    int r = find_program(program);
    if (r < 0)
        fprintf(stderr, "switchboard compare: cannot start switchboard, which belongs beside switchboard-compare: %s\n",
                strerror(-r));
    if (r == 0)
        r = choose_matches(&comparison, &arguments);
    if (r == -ENOMEM)
        fprintf(stderr, "switchboard compare: %s\n", strerror(ENOMEM));
    int status = r == -EINVAL ? 2 : 1;
    if (!arguments.options.handler)
        arguments.options.handler = "upper";
    if (r == 0) {
        catch_signals();
        r = open_outputs(&outputs, &arguments);
        if (r == 0)
            r = compare(&comparison, &arguments, &outputs);
        status = is_misused(&comparison) ? 2 : 1;
    }
    close_outputs(&outputs);
    finish(&comparison);
    free(arguments.question);
    free(arguments.answer);
    return r < 0 ? status : 0;
}
