#include "verdict.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "scenario.h"

static double median(const struct contestant *contestant, enum metric metric)
{
    return contestant_spread(contestant, metric).median;
}

static bool is_known(const struct contestant *contestant, enum metric metric)
{
    return contestant->rounds > 0 && !isnan(median(contestant, metric));
}

/* --- names -------------------------------------------------------------------------------------------------------- */

typedef bool choice(const struct match *match, const struct contestant *contestant);

/* "fork, thread and pool:4"; returns how many. */
static unsigned print_names(FILE *verdict, const struct match *match, choice *chosen)
{
    unsigned wanted = 0, printed = 0;
    for (unsigned i = 0; i < match->n_contestants; i++)
        wanted += match->contestants[i].rounds > 0 && chosen(match, &match->contestants[i]);
    for (unsigned i = 0; i < match->n_contestants; i++) {
        if (match->contestants[i].rounds == 0 || !chosen(match, &match->contestants[i]))
            continue;
        fprintf(verdict, "%s%s",
                printed == 0 ? "" : printed + 1 == wanted ? " and " : ", ", match->contestants[i].name);
        printed++;
    }
    return wanted;
}

static unsigned count(const struct match *match, choice *chosen)
{
    unsigned n = 0;
    for (unsigned i = 0; i < match->n_contestants; i++)
        n += match->contestants[i].rounds > 0 && chosen(match, &match->contestants[i]);
    return n;
}

static const char *verb(unsigned n, const char *one, const char *many)
{
    return n == 1 ? one : many;
}

/* Who is quick but wrong, or dead, wins nothing. */
static bool is_sound(const struct contestant *contestant)
{
    return !contestant->died && !(contestant_spread(contestant, WRONG).max > 0);
}

/* Best and worst of those that are sound and of which a metric is known; false when there are not two. */
static bool find_ends(const struct match *match, enum metric metric, const struct contestant **ret_best,
                      const struct contestant **ret_worst)
{
    unsigned order[match->n_contestants], n = match_rank(match, metric, order), sound = 0;
    for (unsigned i = 0; i < n; i++)
        if (is_sound(&match->contestants[order[i]]))
            order[sound++] = order[i];
    if (sound < 2)
        return false;
    *ret_best = &match->contestants[order[0]];
    *ret_worst = &match->contestants[order[sound - 1]];
    return true;
}

/* --- the best and the worst --------------------------------------------------------------------------------------- */

static bool is_as_fast_as_best(const struct match *match, const struct contestant *contestant)
{
    const struct contestant *best, *worst;
    double ours[ROUNDS_MAX], theirs[ROUNDS_MAX];
    if (!find_ends(match, THROUGHPUT, &best, &worst) || contestant == best || !is_sound(contestant))
        return false;
    unsigned n = contestant_values(contestant, THROUGHPUT, ours), m = contestant_values(best, THROUGHPUT, theirs);
    return compare_pairs(ours, theirs, n < m ? n : m) == TOO_CLOSE;
}

static bool is_bottleneck(const struct match *match, const struct contestant *contestant)
{
    (void)match;
    return contestant->bottleneck;
}

static void conclude_throughput(const struct match *match, FILE *verdict)
{
    const struct contestant *best, *worst;
    if (!find_ends(match, THROUGHPUT, &best, &worst))
        return;
    fprintf(verdict, "%s answered most", best->name);
    if (count(match, is_as_fast_as_best) > 0) {
        fprintf(verdict, ", too close to call with ");
        print_names(verdict, match, is_as_fast_as_best);
    }
    fprintf(verdict, ": %.0f requests a second", median(best, THROUGHPUT));
    if (median(worst, THROUGHPUT) > 0)
        fprintf(verdict, ", %.1f times as many as %s.\n", median(best, THROUGHPUT) / median(worst, THROUGHPUT),
                worst->name);
    else
        fprintf(verdict, "; %s none.\n", worst->name);
}

static void conclude_cost(const struct match *match, FILE *verdict)
{
    const struct contestant *best, *worst;
    if (!find_ends(match, CPU_US, &best, &worst) || median(best, CPU_US) <= 0)
        return;
    fprintf(verdict, "A request cost least processor time under %s, %.1f µs, and most under %s, %.1f µs (%.1f times as "
            "much).\n", best->name, median(best, CPU_US), worst->name, median(worst, CPU_US),
            median(worst, CPU_US) / median(best, CPU_US));
}

static void conclude_bottleneck(const struct match *match, FILE *verdict)
{
    unsigned n = count(match, is_bottleneck);
    if (n == 0)
        return;
    fprintf(verdict, "The load generator itself was the limit for ");
    print_names(verdict, match, is_bottleneck);
    fprintf(verdict, ": compare %s by processor time, not by throughput.\n", verb(n, "it", "them"));
}

/* --- what went wrong ---------------------------------------------------------------------------------------------- */

static bool has_died(const struct match *match, const struct contestant *contestant)
{
    (void)match;
    return contestant->died;
}

static bool is_wrong(const struct match *match, const struct contestant *contestant)
{
    (void)match;
    return contestant_spread(contestant, WRONG).max > 0;
}

static bool misses_some(const struct match *match, const struct contestant *contestant)
{
    return contestant_spread(contestant, ERRORS).max > 0 && !is_wrong(match, contestant) && !contestant->died;
}

void conclude_faults(const struct match *match, FILE *verdict)
{
    if (count(match, is_wrong) > 0) {
        fprintf(verdict, "Wrong answers came from ");
        print_names(verdict, match, is_wrong);
        fprintf(verdict, ": the handler does not bear these strategies, or is at fault itself.\n");
    }
    if (count(match, has_died) > 0 && !match->scenario->poisoned) {
        fprintf(verdict, "The server died under ");
        print_names(verdict, match, has_died);
        fprintf(verdict, ": the handler crashed, or ended it.\n");
    }
}

/* --- speed -------------------------------------------------------------------------------------------------------- */

void conclude_by_speed(const struct match *match, FILE *verdict)
{
    conclude_throughput(match, verdict);
    conclude_cost(match, verdict);
    conclude_bottleneck(match, verdict);
    if (count(match, misses_some) > 0) {
        fprintf(verdict, "Not every request was answered by ");
        print_names(verdict, match, misses_some);
        fprintf(verdict, ".\n");
    }
}

/* --- held up ------------------------------------------------------------------------------------------------------ */

static bool serves_none(const struct match *match, const struct contestant *contestant)
{
    (void)match;
    return median(contestant, ANSWERS) == 0;
}

static bool leaves_some(const struct match *match, const struct contestant *contestant)
{
    return median(contestant, UNANSWERED) > 0 && !serves_none(match, contestant);
}

static bool serves_all(const struct match *match, const struct contestant *contestant)
{
    return median(contestant, UNANSWERED) == 0 && !serves_none(match, contestant);
}

void conclude_held_up(const struct match *match, FILE *verdict)
{
    if (count(match, serves_all) > 0) {
        unsigned n = print_names(verdict, match, serves_all);
        fprintf(verdict, " served everybody who asked: %s no caller wait for another.\n",
                verb(n, "it let", "they let"));
    }
    if (count(match, leaves_some) > 0) {
        print_names(verdict, match, leaves_some);
        fprintf(verdict, " left callers waiting who never had their turn.\n");
    }
    if (count(match, serves_none) > 0) {
        print_names(verdict, match, serves_none);
        fprintf(verdict, " answered nobody: every worker was held by a slow caller.\n");
    }
    conclude_cost(match, verdict);
    conclude_bottleneck(match, verdict);
}

/* --- waiting and computing ---------------------------------------------------------------------------------------- */

#define SLEEP_S 0.05

void conclude_waiting(const struct match *match, FILE *verdict)
{
    const struct contestant *best, *worst;
    if (!find_ends(match, THROUGHPUT, &best, &worst))
        return;
    fprintf(verdict, "%s had about %.0f of %u sleepers at a time, %s %.0f (answers each second times the 50 ms of a "
            "sleep: Little's law).\n", best->name, median(best, THROUGHPUT) * SLEEP_S, match->clients, worst->name,
            median(worst, THROUGHPUT) * SLEEP_S);
    fprintf(verdict, "Nothing is computed here: every sleeper more is an answer more, until a strategy has no worker "
            "left.\n");
}

void conclude_spinning(const struct match *match, FILE *verdict)
{
    const struct contestant *best, *worst;
    if (!find_ends(match, THROUGHPUT, &best, &worst))
        return;
    fprintf(verdict, "%s burnt %.2f processors at a time, %s %.2f (answers each second times 1 ms).\n", best->name,
            median(best, THROUGHPUT) / 1000, worst->name, median(worst, THROUGHPUT) / 1000);
    if (count(match, is_as_fast_as_best) > 0) {
        fprintf(verdict, "Too close to call with the first: ");
        print_names(verdict, match, is_as_fast_as_best);
        fprintf(verdict, ". More workers than processors bring nothing.\n");
    }
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

static bool fits_all(const struct match *match, const struct contestant *contestant)
{
    return median(contestant, ANSWERS) == match->clients;
}

static bool fits_few(const struct match *match, const struct contestant *contestant)
{
    return !fits_all(match, contestant);
}

void conclude_memory(const struct match *match, FILE *verdict)
{
    const struct contestant *best = NULL, *worst = NULL;
    for (unsigned i = 0; i < match->n_contestants; i++) {
        const struct contestant *contestant = &match->contestants[i];
        if (!is_known(contestant, CONNECTION_KB) || !fits_all(match, contestant))
            continue;
        if (!best || median(contestant, CONNECTION_KB) < median(best, CONNECTION_KB))
            best = contestant;
        if (!worst || median(contestant, CONNECTION_KB) > median(worst, CONNECTION_KB))
            worst = contestant;
    }
    if (best && best != worst)
        fprintf(verdict, "Of those with room for all %u, an idle connection costs least under %s, %.1f KB, and most "
                "under %s, %.1f KB (the kernel's own share comes on top).\n", match->clients, best->name,
                median(best, CONNECTION_KB), worst->name, median(worst, CONNECTION_KB));
    for (unsigned i = 0; i < match->n_contestants; i++)
        if (match->contestants[i].rounds > 0 && fits_few(match, &match->contestants[i]))
            fprintf(verdict, "%s had room for %.0f of %u.\n", match->contestants[i].name,
                    median(&match->contestants[i], ANSWERS), match->clients);
}

/* --- burst -------------------------------------------------------------------------------------------------------- */

void conclude_burst(const struct match *match, FILE *verdict)
{
    const struct contestant *best, *worst;
    if (!find_ends(match, MAX_US, &best, &worst))
        return;
    fprintf(verdict, "The last of %u callers had its answer after %.0f ms under %s, after %.0f ms under %s.\n",
            match->clients, median(best, MAX_US) / 1000, best->name, median(worst, MAX_US) / 1000, worst->name);
    if (find_ends(match, CALLED_AGAIN, &best, &worst) && median(worst, CALLED_AGAIN) > 0)
        fprintf(verdict, "Under %s %.0f found the backlog full and called again, under %s %.0f: the sooner a server "
                "accepts, the fewer.\n", worst->name, median(worst, CALLED_AGAIN), best->name,
                median(best, CALLED_AGAIN));
}

/* --- crashes ------------------------------------------------------------------------------------------------------ */

static bool loses_none(const struct match *match, const struct contestant *contestant)
{
    return !has_died(match, contestant) && contestant_spread(contestant, ERRORS).max == 0;
}

static bool loses_some(const struct match *match, const struct contestant *contestant)
{
    return !has_died(match, contestant) && !loses_none(match, contestant);
}

void conclude_crashes(const struct match *match, FILE *verdict)
{
    if (count(match, has_died) > 0) {
        unsigned n = print_names(verdict, match, has_died);
        fprintf(verdict, " died of the first crash, and all callers with %s: all share one process.\n",
                verb(n, "it", "them"));
    }
    if (count(match, loses_none) > 0) {
        print_names(verdict, match, loses_none);
        fprintf(verdict, " lost the caller whose request it was, and nobody else.\n");
    }
    for (unsigned i = 0; i < match->n_contestants; i++) {
        const struct contestant *contestant = &match->contestants[i];
        if (contestant->rounds > 0 && loses_some(match, contestant))
            fprintf(verdict, "%s lost %.1f others with each crash, and was without service for up to %.0f ms.\n",
                    contestant->name, median(contestant, LOST_EACH), median(contestant, OUTAGE_MS));
    }
    const struct contestant *best, *worst;
    if (find_ends(match, MAX_US, &best, &worst))
        fprintf(verdict, "Until a worker was there again nobody waited longer than %.0f ms under %s, and %.0f ms under "
                "%s.\n", median(best, MAX_US) / 1000, best->name, median(worst, MAX_US) / 1000, worst->name);
}

/* --- counting ----------------------------------------------------------------------------------------------------- */

static bool counts_all(const struct match *match, const struct contestant *contestant)
{
    (void)match;
    return median(contestant, LARGEST) == median(contestant, ANSWERS);
}

static bool counts_one(const struct match *match, const struct contestant *contestant)
{
    return median(contestant, LARGEST) == 1 && !counts_all(match, contestant);
}

void conclude_counting(const struct match *match, FILE *verdict)
{
    if (count(match, counts_all) > 0) {
        print_names(verdict, match, counts_all);
        fprintf(verdict, " counted every visitor: all handlers run in one memory.\n");
    }
    if (count(match, counts_one) > 0) {
        print_names(verdict, match, counts_one);
        fprintf(verdict, " told every visitor it was the first: each process has its own copy of the counter.\n");
    }
    for (unsigned i = 0; i < match->n_contestants; i++) {
        const struct contestant *contestant = &match->contestants[i];
        if (contestant->rounds > 0 && !counts_all(match, contestant) && !counts_one(match, contestant))
            fprintf(verdict, "%s came to %.0f of %.0f: each of its processes counts for itself.\n", contestant->name,
                    median(contestant, LARGEST), median(contestant, ANSWERS));
    }
}

/* --- wake-ups and process control --------------------------------------------------------------------------------- */

void conclude_wakeups(const struct match *match, FILE *verdict)
{
    const struct contestant *best, *worst;
    if (!find_ends(match, VOLUNTARY, &best, &worst))
        return;
    fprintf(verdict, "For each connection somebody went to sleep and was woken %.1f times under %s, and %.1f times "
            "under %s.\n", median(best, VOLUNTARY), best->name, median(worst, VOLUNTARY), worst->name);
    conclude_cost(match, verdict);
}

void conclude_control(const struct match *match, FILE *verdict)
{
    unsigned order[match->n_contestants], n = match_rank(match, CONTROL_CPU_S, order);
    if (n == 0) {
        fprintf(verdict, "Process control is what a design costs beside the iterative server: put serial on the "
                "list.\n");
        return;
    }
    fprintf(verdict, "Process control, from least to most:");
    for (unsigned i = 0; i < n; i++)
        if (strcmp(match->contestants[order[i]].name, "serial") != 0)
            fprintf(verdict, "%s %s %.3f s", i > 0 ? "," : "", match->contestants[order[i]].name,
                    median(&match->contestants[order[i]], CONTROL_CPU_S));
    fprintf(verdict, ".\n");
}
