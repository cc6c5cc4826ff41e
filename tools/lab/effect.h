/* What a change has done: before and after it, over windows of the same length. */
#ifndef LAB_EFFECT_H
#define LAB_EFFECT_H

#include "numbers.h"

#define EFFECT_SECONDS 5            /* of a window */
#define EFFECT_SETTLE_NS 1000000000 /* between the change and the second window */
#define EFFECT_LEAST 4              /* samples of a window that has anything to say */

/* A window, and what of a sample at its edge may lie outside of it. */
#define EFFECT_WINDOW_NS (EFFECT_SECONDS * UINT64_C(1000000000) + NUMBERS_EVERY_NS)

enum effect_verdict { EFFECT_UNKNOWN, EFFECT_CLOSE, EFFECT_LESS, EFFECT_MORE };

struct effect {
    double before, after;           /* means; NaN: not known */
    double low, high;               /* after - before, 95 % by Welch's t (B. L. Welch 1947); NaN: not known */
    enum effect_verdict verdict;    /* CLOSE: the interval holds 0 */
};

/* What is NaN is passed over. Pure. */
struct effect effect_of(const double *before, unsigned n_before, const double *after, unsigned n_after);

/* When everything is known of something that was done then. */
uint64_t effect_due_ns(uint64_t happened_ns);

/* The outcome as README.md has it, without mark, votes and t. begun_ns: when it was begun, and so the end of the first
 * window; happened_ns: when it was done. disturbed: something else has happened within the windows. */
json_t *effect_json(const struct numbers *numbers, uint64_t begun_ns, uint64_t happened_ns, bool disturbed);

#endif
