/* The histogram beside a sorted list of the same durations. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include "../../tools/load/histogram.h"

#define SAMPLES  20000
#define GREATEST ((1ull << 43) - 1)

TestSuite(histogram, .timeout = 600);

static uint64_t random_state = 88172645463325252ull;

/* Xorshift: the same numbers in each run. */
static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}

/* As many of each magnitude as of any other. */
static uint64_t next_duration_ns(void)
{
    unsigned bits = (unsigned)(next_random() % 43) + 1;
    return next_random() >> (64 - bits);
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

Test(histogram, is_at_most_one_percent_too_large_at_any_percentile)
{
    static struct histogram histogram;
    static uint64_t samples[SAMPLES];
    uint64_t sum = 0;
    for (int i = 0; i < SAMPLES; i++) {
        samples[i] = next_duration_ns();
        sum += samples[i];
        histogram_record(&histogram, samples[i]);
    }
    qsort(samples, SAMPLES, sizeof *samples, by_size);
    for (int rank = 1; rank <= SAMPLES; rank++) {
        uint64_t exact = samples[rank - 1], found = histogram_percentile(&histogram, 100.0 * rank / SAMPLES);
        cr_assert(found >= exact && (double)found <= (double)exact * 1.01, "rank %d: %lu for %lu", rank, found, exact);
    }
    cr_expect_eq(histogram.count, SAMPLES);
    cr_expect_eq(histogram.sum_ns, sum);
    cr_expect_eq(histogram.min_ns, samples[0]);
    cr_expect_eq(histogram.max_ns, samples[SAMPLES - 1]);
    cr_expect_eq(histogram_percentile(&histogram, 100), histogram.max_ns);
}

/* What a duration is counted as, when a longer one does not let max_ns hide it. */
static uint64_t counted_as(uint64_t duration_ns)
{
    struct histogram histogram = { .count = 0 };
    histogram_record(&histogram, duration_ns);
    histogram_record(&histogram, UINT64_MAX / 2);
    return histogram_percentile(&histogram, 50);
}

Test(histogram, has_buckets_that_meet_and_are_less_than_one_percent_wide)
{
    uint64_t before = 0;
    cr_expect_eq(histogram_bucket_ns(0), 0);
    for (unsigned i = 1; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t end = histogram_bucket_ns(i);
        cr_assert_gt(end, before, "bucket %u", i);
        cr_assert(end - before == 1 || (double)(end - before) < 0.01 * (double)before, "bucket %u", i);
        before = end;
    }
    cr_expect_eq(before, GREATEST);
    for (unsigned i = 1; i < HISTOGRAM_BUCKETS; i += 7) {
        cr_expect_eq(counted_as(histogram_bucket_ns(i)), histogram_bucket_ns(i), "the end of bucket %u", i);
        cr_expect_eq(counted_as(histogram_bucket_ns(i - 1) + 1), histogram_bucket_ns(i), "the start of bucket %u", i);
    }
}

Test(histogram, merges_as_if_all_had_been_recorded_in_one)
{
    static struct histogram all, parts[3], merged;
    for (int i = 0; i < 3000; i++) {
        uint64_t duration_ns = next_duration_ns();
        histogram_record(&all, duration_ns);
        histogram_record(&parts[i % 2], duration_ns);   /* the third stays empty */
    }
    for (int i = 2; i >= 0; i--)
        histogram_merge(&merged, &parts[i]);
    cr_expect(memcmp(&merged, &all, sizeof all) == 0);
}

Test(histogram, counts_what_is_too_long_as_the_longest_and_keeps_the_exact_maximum)
{
    cr_expect_eq(counted_as(GREATEST), GREATEST);
    cr_expect_eq(counted_as(GREATEST + 1), GREATEST);
    cr_expect_eq(counted_as(1ull << 60), GREATEST);
    struct histogram histogram = { .count = 0 };
    histogram_record(&histogram, GREATEST + 1);
    cr_expect_eq(histogram.max_ns, GREATEST + 1);
    cr_expect_eq(histogram.buckets[HISTOGRAM_BUCKETS - 1], 1);
}

Test(histogram, of_nothing_is_zero)
{
    struct histogram histogram = { .count = 0 };
    cr_expect_eq(histogram_percentile(&histogram, 0), 0);
    cr_expect_eq(histogram_percentile(&histogram, 99.9), 0);
    cr_expect_eq(histogram_percentile(&histogram, 100), 0);
}

Test(histogram, takes_a_percentage_as_it_is_written)
{
    struct histogram histogram = { .count = 0 };
    for (uint64_t i = 1; i <= 1000; i++)
        histogram_record(&histogram, i <= 999 ? 1 : 100);
    cr_expect_eq(histogram_percentile(&histogram, 99.9), 1);    /* and not the 1000th for 999.0000000000001 */
    cr_expect_eq(histogram_percentile(&histogram, 99.91), 100);
    cr_expect_eq(histogram_percentile(&histogram, 0), 1);
}
