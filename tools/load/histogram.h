/* A histogram of durations with a bounded relative error, in one piece of memory without pointers, so that it can be
 * shared between processes and copied. After the idea of Gil Tene's HdrHistogram: each power of two is cut into equally
 * many buckets. */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BITS 7        /* 128 buckets for each power of two: a bucket is less than 1 % wide */
#define HISTOGRAM_POWERS 36     /* up to 2^43 ns, more than two hours; what is longer counts as that */
#define HISTOGRAM_BUCKETS ((HISTOGRAM_POWERS + 1) << HISTOGRAM_BITS)

/* All zeroes: empty. */
struct histogram {
    uint64_t count, min_ns, max_ns, sum_ns;         /* exact */
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_record(struct histogram *histogram, uint64_t duration_ns);

/* Adds all of `from`. */
void histogram_merge(struct histogram *histogram, const struct histogram *from);

/* The smallest duration that `percent` of all (0 to 100) do not exceed, at most 1 % too large and never above max_ns;
 * 0 when empty. */
uint64_t histogram_percentile(const struct histogram *histogram, double percent);

/* The upper end of a bucket, n below HISTOGRAM_BUCKETS. */
uint64_t histogram_bucket_ns(unsigned n);

#endif
