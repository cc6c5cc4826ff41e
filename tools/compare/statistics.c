#include "statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct sample {
    size_t n;
    double values[SAMPLE_MAX];
};

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static size_t add_known(struct sample *sample, const double *values, size_t n)
{
    size_t before = sample->n;
    for (size_t i = 0; i < n && i < SAMPLE_MAX; i++)
        if (!isnan(values[i]))
            sample->values[sample->n++] = values[i];
    return sample->n - before;
}

static void sort(struct sample *sample)
{
    qsort(sample->values, sample->n, sizeof *sample->values, by_value);
}

/* Of sorted values. */
static double quantile(const struct sample *sample, double part)
{
    double place = (sample->n - 1) * part;
    size_t below = place;
    double value = sample->values[below];
    return place > below ? value + (place - below) * (sample->values[below + 1] - value) : value;
}

struct spread spread_of(const double *values, size_t n)
{
    struct sample sample = { 0 };
    if (add_known(&sample, values, n) == 0)
        return (struct spread){ 0, NAN, NAN, NAN, NAN, NAN };
    sort(&sample);
    return (struct spread){ sample.n, quantile(&sample, 0.5), quantile(&sample, 0.25), quantile(&sample, 0.75),
                            sample.values[0], sample.values[sample.n - 1] };
}

/* --- the signed-rank test ----------------------------------------------------------------------------------------- */

/* Differences by their size, with twice their ranks, so that the middle of two is a whole number. */
struct ranking {
    struct sample sizes;                /* ascending; 0 is passed over */
    unsigned ranks[SAMPLE_MAX];
    unsigned positive;                  /* the sum of the ranks of what is above 0 */
};

static unsigned count_value(const double *values, size_t n, double value)
{
    unsigned count = 0;
    for (size_t i = 0; i < n && i < SAMPLE_MAX; i++)
        count += values[i] == value;
    return count;
}

static struct ranking rank(const double *differences, size_t n)
{
    struct ranking ranking = { 0 };
    struct sample *sizes = &ranking.sizes;
    add_known(sizes, differences, n);
    unsigned known = sizes->n;
    sizes->n = 0;
    for (unsigned i = 0; i < known; i++)
        if (sizes->values[i] != 0)
            sizes->values[sizes->n++] = fabs(sizes->values[i]);
    sort(sizes);
    for (unsigned first = 0, end; first < sizes->n; first = end) {
        for (end = first + 1; end < sizes->n && sizes->values[end] == sizes->values[first]; end++)
            ;
        for (unsigned i = first; i < end; i++)
            ranking.ranks[i] = first + 1 + end;
        ranking.positive += (first + 1 + end) * count_value(differences, n, sizes->values[first]);
    }
    return ranking;
}

/* chance[sum]: that the ranks with a positive sign have this sum, when signs are thrown like coins. */
static double p_of(const struct ranking *ranking)
{
    enum { SUMS = SAMPLE_MAX * (SAMPLE_MAX + 1) + 1 };
    double chance[SUMS];
    int all = ranking->sizes.n * (ranking->sizes.n + 1), far = abs(2 * (int)ranking->positive - all);
    memset(chance, 0, sizeof chance);
    chance[0] = 1;
    for (unsigned i = 0; i < ranking->sizes.n; i++)
        for (int sum = all, rank = ranking->ranks[i]; sum >= 0; sum--)
            chance[sum] = (chance[sum] + (sum >= rank ? chance[sum - rank] : 0)) / 2;
    double as_far = 0;
    for (int sum = 0; sum <= all; sum++)
        as_far += abs(2 * sum - all) >= far ? chance[sum] : 0;
    return as_far;
}

double signed_rank_p(const double *differences, size_t n)
{
    struct ranking ranking = rank(differences, n);
    return p_of(&ranking);
}

enum difference compare_pairs(const double *a, const double *b, size_t n)
{
    double differences[SAMPLE_MAX];
    size_t known = 0;
    for (size_t i = 0; i < n && i < SAMPLE_MAX; i++)
        if (!isnan(a[i] - b[i]))
            differences[known++] = a[i] - b[i];
    if (known < SIGNED_RANK_LEAST)
        return TOO_FEW;
    struct ranking ranking = rank(differences, known);
    if (ranking.sizes.n == 0)
        return EQUAL;
    if (p_of(&ranking) > SIGNED_RANK_LEVEL)
        return TOO_CLOSE;
    return 2 * ranking.positive < ranking.sizes.n * (ranking.sizes.n + 1) ? LESS : MORE;
}
