/* Median, spread, and whether two samples differ. */
#ifndef STATISTICS_H
#define STATISTICS_H

#include <stddef.h>

/* Values in a sample, at most. Those that are NaN are passed over by all functions here. */
#define SAMPLE_MAX 100

/* NaN everywhere and n 0 for a sample without values. */
struct spread {
    unsigned n;
    double median, low, high;       /* low and high: the quartiles, interpolated (type 7 of Hyndman and Fan, R's) */
    double min, max;
};

struct spread spread_of(const double *values, size_t n);

#define SIGNED_RANK_NAME "Wilcoxon signed-rank test, exact, two-sided"

/* The test's level, and the fewest pairs that can reach it. */
#define SIGNED_RANK_LEVEL 0.05
#define SIGNED_RANK_LEAST 6

/* The Wilcoxon signed-rank test, two-sided and exact: how likely differences as lopsided as these are when each of them
 * might as well have the other sign (ties get the middle of their ranks; what is 0 is passed over); 1 for none. */
double signed_rank_p(const double *differences, size_t n);

/* Of `a` beside `b`, a[i] and b[i] of the same round, so that whatever slowed a round slowed both: LESS and MORE where
 * the test reaches its level. */
enum difference { TOO_FEW, TOO_CLOSE, EQUAL, LESS, MORE };
enum difference compare_pairs(const double *a, const double *b, size_t n);

#endif
