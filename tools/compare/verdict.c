#include "verdict.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "../show.h"
#include "scenario.h"

static double median(const struct contestant *contestant, enum metric metric)
{
    return contestant_spread(contestant, metric).median;
}

static double most(const struct contestant *contestant, enum metric metric)
{
    return contestant_spread(contestant, metric).max;
}

/* --- who ---------------------------------------------------------------------------------------------------------- */

typedef bool choice(const struct match *match, const struct contestant *contestant);

static bool is_wrong(const struct match *match, const struct contestant *contestant)
{
    (void)match;
    return most(contestant, WRONG) > 0;
}

static bool has_died(const struct match *match, const struct contestant *contestant)
{
    (void)match;
    return contestant->died;
}

/* Of whom enough is known, but a fault is one in however short a run. */
static bool is_chosen(const struct match *match, unsigned i, choice *chosen)
{
    const struct contestant *contestant = &match->contestants[i];
    bool of_faults = chosen == is_wrong || chosen == has_died;
    return contestant->rounds > (of_faults ? 0 : contestant->few) && chosen(match, contestant);
}

/* "fork, thread and pool:4" between two texts; nothing for nobody. */
static void tell(FILE *verdict, const struct match *match, choice *chosen, const char *before, const char *behind)
{
    unsigned left = 0;
    for (unsigned i = 0; i < match->n_contestants; i++)
        left += is_chosen(match, i, chosen);
    if (left == 0)
        return;
    fputs(before, verdict);
    for (unsigned i = 0; i < match->n_contestants; i++)
        if (is_chosen(match, i, chosen)) {
            left--;
            fprintf(verdict, "%s%s", match->contestants[i].name, left > 1 ? ", " : left == 1 ? " and " : "");
        }
    fputs(behind, verdict);
}

/* Who is quick but wrong, or dead, wins nothing; nor does who answers nobody. */
static bool is_sound(const struct match *match, const struct contestant *contestant)
{
    return !has_died(match, contestant) && !is_wrong(match, contestant) && median(contestant, ANSWERS) > 0;
}

static bool serves_all(const struct match *match, const struct contestant *contestant)
{
    return is_sound(match, contestant) && most(contestant, ERRORS) == 0;
}

/* Best and worst of the chosen of which a metric is known; false when there are not two. */
static bool find_ends(const struct match *match, enum metric metric, choice *chosen,
                      const struct contestant **ret_best, const struct contestant **ret_worst)
{
    unsigned order[match->n_contestants + 1], n = match_rank(match, metric, order), kept = 0;
    for (unsigned i = 0; i < n; i++)
        if (is_chosen(match, order[i], chosen))
            order[kept++] = order[i];
    if (kept < 2)
        return false;
    *ret_best = &match->contestants[order[0]];
    *ret_worst = &match->contestants[order[kept - 1]];
    return true;
}

static void show_example(const struct match *match, FILE *verdict)
{
    for (unsigned i = 0; i < match->n_contestants; i++) {
        const struct contestant *contestant = &match->contestants[i];
        const struct load_example *example = &contestant->example;
        if (example->question_size == 0)
            continue;
        fprintf(verdict, "The first one, under %s:\n", contestant->name);
        show_bytes(verdict, "asked", 1, example->question, example->question_size);
        show_bytes(verdict, "heard", 1, example->answer, example->answer_size);
        return;
    }
}

void conclude_faults(const struct match *match, FILE *verdict)
{
    tell(verdict, match, is_wrong, "Wrong answers came from ",
         ": the handler does not bear these strategies, or is at fault itself.\n");
    show_example(match, verdict);
    if (!match->scenario->poisoned)
        tell(verdict, match, has_died, "The server died under ", ": the handler crashed, or ended it.\n");
}

void conclude_too_little(const struct match *match, FILE *verdict)
{
    for (unsigned i = 0; i < match->n_contestants; i++) {
        const struct contestant *contestant = &match->contestants[i];
        if (contestant->few > 0)
            fprintf(verdict, "%s saw too little in %u of its %u round%s: %llu of the %llu %s that it takes, in up to "
                    "%g s (see --limit). Only what was counted is shown of %s, and nothing concluded.\n",
                    contestant->name, contestant->few, contestant->rounds, contestant->rounds == 1 ? "" : "s",
                    (unsigned long long)contestant->fewest, (unsigned long long)match->needed,
                    match->scenario->need.noun, match->limit_s, contestant->few == 1 ? "it" : "them");
    }
}

/* --- speed -------------------------------------------------------------------------------------------------------- */

static bool is_as_fast_as_best(const struct match *match, const struct contestant *contestant)
{
    const struct contestant *best, *worst;
    double ours[ROUNDS_MAX], theirs[ROUNDS_MAX];
    if (!is_sound(match, contestant) || !find_ends(match, THROUGHPUT, is_sound, &best, &worst) || contestant == best)
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
    if (!find_ends(match, THROUGHPUT, is_sound, &best, &worst))
        return;
    fprintf(verdict, "%s answered most", best->name);
    tell(verdict, match, is_as_fast_as_best, ", too close to call with ", "");
    fprintf(verdict, ": %.0f requests a second, %.1f times as many as %s.\n", median(best, THROUGHPUT),
            median(best, THROUGHPUT) / median(worst, THROUGHPUT), worst->name);
}

static void conclude_cost(const struct match *match, choice *chosen, FILE *verdict)
{
    const struct contestant *best, *worst;
    if (!find_ends(match, CPU_US, chosen, &best, &worst) || median(best, CPU_US) <= 0)
        return;
    fprintf(verdict, "A request cost least processor time under %s, %.1f µs, and most under %s, %.1f µs (%.1f times "
            "as much).\n", best->name, median(best, CPU_US), worst->name, median(worst, CPU_US),
            median(worst, CPU_US) / median(best, CPU_US));
}

static void conclude_bottleneck(const struct match *match, FILE *verdict)
{
    tell(verdict, match, is_bottleneck, "The load generator itself was the limit for ",
         ": there, compare processor time and not throughput.\n");
}

static bool misses_some(const struct match *match, const struct contestant *contestant)
{
    return !serves_all(match, contestant) && !is_wrong(match, contestant) && !has_died(match, contestant);
}

void conclude_by_speed(const struct match *match, FILE *verdict)
{
    conclude_throughput(match, verdict);
    conclude_cost(match, is_sound, verdict);
    conclude_bottleneck(match, verdict);
    tell(verdict, match, misses_some, "Not every request was answered by ", ".\n");
}

/* --- held up ------------------------------------------------------------------------------------------------------ */

static bool serves_none(const struct match *match, const struct contestant *contestant)
{
    return median(contestant, ANSWERS) == 0 && !has_died(match, contestant) && !is_wrong(match, contestant);
}

static bool leaves_some(const struct match *match, const struct contestant *contestant)
{
    return is_sound(match, contestant) && most(contestant, UNANSWERED) > 0;
}

void conclude_held_up(const struct match *match, FILE *verdict)
{
    tell(verdict, match, serves_all, "", " answered everybody who asked.\n");
    tell(verdict, match, leaves_some, "", " left callers waiting who never had their turn.\n");
    tell(verdict, match, serves_none, "", match->scenario->slow_crew
         ? " answered nobody: every worker was held by a slow caller.\n" : " answered nobody.\n");
    conclude_cost(match, serves_all, verdict);
    conclude_bottleneck(match, verdict);
}

/* --- waiting and computing ---------------------------------------------------------------------------------------- */

#define SLEEP_S 0.05
#define SPIN_S 0.001

void conclude_waiting(const struct match *match, FILE *verdict)
{
    const struct contestant *best, *worst;
    if (!find_ends(match, THROUGHPUT, is_sound, &best, &worst))
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
    if (!find_ends(match, THROUGHPUT, is_sound, &best, &worst))
        return;
    fprintf(verdict, "%s burnt %.2f processors at a time, %s %.2f (answers each second times 1 ms).\n", best->name,
            median(best, THROUGHPUT) * SPIN_S, worst->name, median(worst, THROUGHPUT) * SPIN_S);
    tell(verdict, match, is_as_fast_as_best, "Too close to call with the first: ",
         ". More workers than processors bring nothing.\n");
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

static bool has_room(const struct match *match, const struct contestant *contestant)
{
    return median(contestant, ANSWERS) == match->clients;
}

static bool has_no_room(const struct match *match, const struct contestant *contestant)
{
    return !has_room(match, contestant);
}

void conclude_memory(const struct match *match, FILE *verdict)
{
    const struct contestant *best, *worst;
    if (find_ends(match, CONNECTION_KB, has_room, &best, &worst))
        fprintf(verdict, "Of those that took in all %u, an idle connection costs least under %s, %.1f KB, and most "
                "under %s, %.1f KB (the kernel's own share comes on top).\n", match->clients, best->name,
                median(best, CONNECTION_KB), worst->name, median(worst, CONNECTION_KB));
    for (unsigned i = 0; i < match->n_contestants; i++)
        if (is_chosen(match, i, has_no_room))
            fprintf(verdict, "%s took in %.0f of %u.\n", match->contestants[i].name,
                    median(&match->contestants[i], ANSWERS), match->clients);
}

/* --- burst -------------------------------------------------------------------------------------------------------- */

void conclude_burst(const struct match *match, FILE *verdict)
{
    const struct contestant *best, *worst;
    if (!find_ends(match, MAX_US, is_sound, &best, &worst))
        return;
    fprintf(verdict, "The last of %u callers had its answer after %.0f ms under %s, after %.0f ms under %s.\n",
            match->clients, median(best, MAX_US) / 1000, best->name, median(worst, MAX_US) / 1000, worst->name);
    if (!find_ends(match, CALLED_AGAIN, is_sound, &best, &worst))
        return;
    if (median(worst, CALLED_AGAIN) == 0)
        fprintf(verdict, "Nobody found the backlog full: for that it takes more callers, or slower servers.\n");
    else if (find_ends(match, CALLED_AGAIN, is_sound, &best, &worst) && median(worst, CALLED_AGAIN) > 0)
        fprintf(verdict, "Under %s %.0f found the backlog full and called again, under %s %.0f: the sooner a server "
                "accepts, the fewer.\n", worst->name, median(worst, CALLED_AGAIN), best->name,
                median(best, CALLED_AGAIN));
}

/* --- crashes ------------------------------------------------------------------------------------------------------ */

static bool was_hit(const struct match *match, const struct contestant *contestant)
{
    return median(contestant, POISONED) > 0 && !has_died(match, contestant);
}

static bool loses_none(const struct match *match, const struct contestant *contestant)
{
    return was_hit(match, contestant) && most(contestant, ERRORS) == 0;
}

void conclude_crashes(const struct match *match, FILE *verdict)
{
    const struct contestant *best, *worst;
    tell(verdict, match, has_died, "", " died of the first crash, and all callers with it: all share one process.\n");
    tell(verdict, match, loses_none, "", " lost the caller whose request it was, and nobody else.\n");
    for (unsigned i = 0; i < match->n_contestants; i++) {
        const struct contestant *contestant = &match->contestants[i];
        if (is_chosen(match, i, was_hit) && !loses_none(match, contestant))
            fprintf(verdict, "%s lost %.1f others with each crash, and was without service for up to %.0f ms.\n",
                    contestant->name, median(contestant, LOST_EACH), most(contestant, OUTAGE_MS));
    }
    if (find_ends(match, MAX_US, was_hit, &best, &worst))
        fprintf(verdict, "Until a worker was there again nobody waited longer than %.0f ms under %s, and %.0f ms under "
                "%s.\n", most(best, MAX_US) / 1000, best->name, most(worst, MAX_US) / 1000, worst->name);
}

/* --- counting ----------------------------------------------------------------------------------------------------- */

static bool counts_all(const struct match *match, const struct contestant *contestant)
{
    return is_sound(match, contestant) && median(contestant, LARGEST) >= median(contestant, ANSWERS);
}

static bool counts_one(const struct match *match, const struct contestant *contestant)
{
    return median(contestant, LARGEST) == 1 && !counts_all(match, contestant);
}

void conclude_counting(const struct match *match, FILE *verdict)
{
    tell(verdict, match, counts_all, "", " counted every visitor: all handlers run in one memory.\n");
    tell(verdict, match, counts_one, "",
         " told every visitor it was the first: each process has its own copy of the counter.\n");
    for (unsigned i = 0; i < match->n_contestants; i++) {
        const struct contestant *contestant = &match->contestants[i];
        if (is_chosen(match, i, is_sound) && !counts_all(match, contestant) && !counts_one(match, contestant))
            fprintf(verdict, "%s came to %.0f of %.0f: each of its processes counts for itself.\n", contestant->name,
                    median(contestant, LARGEST), median(contestant, ANSWERS));
    }
}

/* --- wake-ups and process control --------------------------------------------------------------------------------- */

void conclude_wakeups(const struct match *match, FILE *verdict)
{
    const struct contestant *best, *worst;
    if (!find_ends(match, VOLUNTARY, is_sound, &best, &worst))
        return;
    fprintf(verdict, "For each connection somebody went to sleep and was woken %.1f times under %s, and %.1f times "
            "under %s.\n", median(best, VOLUNTARY), best->name, median(worst, VOLUNTARY), worst->name);
    conclude_cost(match, is_sound, verdict);
}

/* UNP's second figure: how evenly the kernel shares connections out. Most first, and pid 0 is no one worker. */
static void tell_shares(const struct contestant *contestant, FILE *verdict)
{
    unsigned n = contestant->n_workers;
    if (n > 0 && contestant->workers[n - 1].pid == 0)
        n--;
    if (n > 1)
        fprintf(verdict, "%s: each of %u workers served %llu to %llu connections.\n", contestant->name, n,
                (unsigned long long)contestant->workers[n - 1].served,
                (unsigned long long)contestant->workers[0].served);
}

void conclude_control(const struct match *match, FILE *verdict)
{
    unsigned order[match->n_contestants + 1], n = match_rank(match, CONTROL_CPU_S, order);
    const struct contestant *best, *worst;
    const char *before = "From least to most: ";
    if (n == 0)
        fprintf(verdict, "Process control is what a design costs beside the iterative server, serial, which did not "
                "run.\n");
    if (find_ends(match, CONTROL_CPU_S, is_sound, &best, &worst))
        fprintf(verdict, "Process control costs most under %s: %.3f s of processor time beside the iterative server's "
                "%.3f s.\n", worst->name, median(worst, CONTROL_CPU_S),
                median(worst, TOTAL_CPU_S) - median(worst, CONTROL_CPU_S));
    for (unsigned i = 0; i < n; i++) {
        const struct contestant *contestant = &match->contestants[order[i]];
        if (strcmp(contestant->name, "serial") == 0)
            continue;
        fprintf(verdict, "%s%s %.3f s", before, contestant->name, median(contestant, CONTROL_CPU_S));
        before = ", ";
    }
    fputs(before[0] == ',' ? ".\n" : "", verdict);
    for (unsigned i = 0; i < match->n_contestants; i++)
        tell_shares(&match->contestants[i], verdict);
}
