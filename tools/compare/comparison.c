#include "comparison.h"

#include <math.h>
#include <stdlib.h>

_Static_assert(ROUNDS_MAX <= SAMPLE_MAX, "a contestant's rounds are a sample");

unsigned contestant_values(const struct contestant *contestant, enum metric metric, double *values)
{
    for (unsigned i = 0; i < contestant->rounds; i++)
        values[i] = contestant->values[i][metric];
    return contestant->rounds;
}

struct spread contestant_spread(const struct contestant *contestant, enum metric metric)
{
    double values[ROUNDS_MAX];
    unsigned n = contestant_values(contestant, metric, values);
    return spread_of(values, n);
}

static const struct contestant *baseline_of(const struct match *match)
{
    return match->baseline < 0 ? NULL : &match->contestants[match->baseline];
}

enum difference contestant_compare(const struct match *match, const struct contestant *contestant, enum metric metric,
                                   double *ret_ratio)
{
    const struct contestant *baseline = baseline_of(match);
    *ret_ratio = NAN;
    if (!baseline)
        return TOO_FEW;
    double ours[ROUNDS_MAX], theirs[ROUNDS_MAX];
    unsigned n = contestant_values(contestant, metric, ours), m = contestant_values(baseline, metric, theirs);
    double median = spread_of(theirs, m).median;
    if (median != 0)
        *ret_ratio = spread_of(ours, n).median / median;
    return compare_pairs(ours, theirs, n < m ? n : m);
}

static const char *word_for(enum metric metric, enum difference difference)
{
    if (metric == THROUGHPUT)
        return difference == MORE ? "faster" : "slower";
    if (metric >= P50_US && metric <= MAX_US)
        return difference == LESS ? "faster" : "slower";
    return difference == LESS ? "less" : "more";
}

const char *contestant_judge(const struct match *match, const struct contestant *contestant, enum metric metric)
{
    const struct contestant *baseline = baseline_of(match);
    if (!baseline || contestant_spread(contestant, metric).n == 0 || contestant_spread(baseline, metric).n == 0)
        return "";
    if (contestant == baseline)
        return "baseline";
    double ratio;
    enum difference difference = contestant_compare(match, contestant, metric, &ratio);
    switch (difference) {
    case TOO_FEW:
        return "too few rounds";
    case TOO_CLOSE:
        return "too close to call";
    case EQUAL:
        return "equal";
    default:
        return word_for(metric, difference);
    }
}

struct ranked {
    unsigned index;
    double badness;
};

static int by_badness(const void *a, const void *b)
{
    const struct ranked *left = a, *right = b;
    if (left->badness != right->badness)
        return left->badness < right->badness ? -1 : 1;
    return left->index < right->index ? -1 : 1;
}

unsigned match_rank(const struct match *match, enum metric metric, unsigned *ret_order)
{
    struct ranked ranked[match->n_contestants + 1];
    unsigned n = 0;
    for (unsigned i = 0; i < match->n_contestants; i++) {
        double median = contestant_spread(&match->contestants[i], metric).median;
        if (!isnan(median))
            ranked[n++] = (struct ranked){ i, metric_infos[metric].better > 0 ? -median : median };
    }
    qsort(ranked, n, sizeof *ranked, by_badness);
    for (unsigned i = 0; i < n; i++)
        ret_order[i] = ranked[i].index;
    return n;
}
