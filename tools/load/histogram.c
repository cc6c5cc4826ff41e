#include "histogram.h"

#define PER_POWER (1u << HISTOGRAM_BITS)

/* Durations below PER_POWER have a bucket each; behind them each power of two has PER_POWER, twice as wide as those of
 * the power before. */
static unsigned find_bucket(uint64_t duration_ns)
{
    if (duration_ns < PER_POWER)
        return (unsigned)duration_ns;
    unsigned shift = 63 - HISTOGRAM_BITS - (unsigned)__builtin_clzll(duration_ns);
    if (shift >= HISTOGRAM_POWERS)
        return HISTOGRAM_BUCKETS - 1;
    return shift * PER_POWER + (unsigned)(duration_ns >> shift);
}

uint64_t histogram_bucket_ns(unsigned n)
{
    if (n < PER_POWER)
        return n;
    unsigned shift = n / PER_POWER - 1;
    return ((uint64_t)(PER_POWER + n % PER_POWER + 1) << shift) - 1;
}

void histogram_record(struct histogram *histogram, uint64_t duration_ns)
{
    if (histogram->count == 0 || duration_ns < histogram->min_ns)
        histogram->min_ns = duration_ns;
    if (duration_ns > histogram->max_ns)
        histogram->max_ns = duration_ns;
    histogram->count++;
    histogram->sum_ns += duration_ns;
    histogram->buckets[find_bucket(duration_ns)]++;
}

void histogram_merge(struct histogram *histogram, const struct histogram *from)
{
    if (from->count == 0)
        return;
    if (histogram->count == 0 || from->min_ns < histogram->min_ns)
        histogram->min_ns = from->min_ns;
    if (from->max_ns > histogram->max_ns)
        histogram->max_ns = from->max_ns;
    histogram->count += from->count;
    histogram->sum_ns += from->sum_ns;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        histogram->buckets[i] += from->buckets[i];
}

/* How many durations must not exceed it, rounded up; of a little less than the product, for 99.9 % of 1000 is
 * 999.0000000000001 in floating point. */
static uint64_t rank(uint64_t count, double percent)
{
    double exact = (double)count * percent / 100 * (1 - 1e-12);
    uint64_t n = exact > 0 ? (uint64_t)exact + 1 : 1;
    return n < count ? n : count;
}

uint64_t histogram_percentile(const struct histogram *histogram, double percent)
{
    uint64_t wanted = rank(histogram->count, percent), seen = 0;
    for (unsigned i = 0; wanted > 0 && i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen >= wanted) {
            uint64_t end_ns = histogram_bucket_ns(i);
            return end_ns < histogram->max_ns ? end_ns : histogram->max_ns;
        }
    }
    return 0;
}
