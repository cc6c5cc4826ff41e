#include "effect.h"

#include <math.h>

enum { ROOM = 64 };

/* --- two samples -------------------------------------------------------------------------------------------------- */

struct moments {
    unsigned n;
    double mean, variance;
};

static struct moments moments_of(const double *values, unsigned count)
{
    struct moments moments = { .n = 0 };
    double sum = 0, squares = 0;
    for (unsigned i = 0; i < count; i++)
        if (!isnan(values[i])) {
            sum += values[i];
            moments.n++;
        }
    moments.mean = moments.n > 0 ? sum / moments.n : NAN;
    for (unsigned i = 0; i < count; i++)
        if (!isnan(values[i]))
            squares += (values[i] - moments.mean) * (values[i] - moments.mean);
    moments.variance = moments.n > 1 ? squares / (moments.n - 1) : NAN;
    return moments;
}

/* Student's t, 97.5 %: from tables, then by its expansion in 1/freedom (Abramowitz and Stegun 26.7.5). */
static double student(double freedom)
{
    static const double table[] = { 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228 };
    const double z = 1.959964;
    unsigned whole = (unsigned)freedom;
    if (whole <= sizeof table / sizeof *table)
        return table[whole > 0 ? whole - 1 : 0];
    return z + (pow(z, 3) + z) / (4 * freedom) + (5 * pow(z, 5) + 16 * pow(z, 3) + 3 * z) / (96 * freedom * freedom);
}

static double half_width(const struct moments *a, const struct moments *b)
{
    double left = a->variance / a->n, right = b->variance / b->n, both = left + right;
    if (both == 0)
        return 0;
    double freedom = both * both / (left * left / (a->n - 1) + right * right / (b->n - 1));
    return student(freedom) * sqrt(both);
}

struct effect effect_of(const double *before, unsigned n_before, const double *after, unsigned n_after)
{
    struct moments a = moments_of(before, n_before), b = moments_of(after, n_after);
    struct effect effect = { .before = a.mean, .after = b.mean, .low = NAN, .high = NAN, .verdict = EFFECT_UNKNOWN };
    if (a.n < EFFECT_LEAST || b.n < EFFECT_LEAST)
        return effect;
    double difference = b.mean - a.mean, half = half_width(&a, &b);
    effect.low = difference - half;
    effect.high = difference + half;
    effect.verdict = effect.low > 0 ? EFFECT_MORE : effect.high < 0 ? EFFECT_LESS : EFFECT_CLOSE;
    return effect;
}

/* --- a change ----------------------------------------------------------------------------------------------------- */

uint64_t effect_due_ns(uint64_t happened_ns)
{
    return happened_ns + EFFECT_SETTLE_NS + EFFECT_WINDOW_NS;
}

/* A sample counts where all of it lies within. */
static unsigned collect(const struct numbers *numbers, uint64_t from_ns, uint64_t to_ns, enum metric metric,
                        double values[ROOM])
{
    const struct sample *sample;
    unsigned count = 0;
    for (unsigned n = 0; (sample = numbers_get(numbers, n)) != NULL && count < ROOM; n++)
        if (sample->time_ns - (uint64_t)(sample->ms * 1e6) >= from_ns && sample->time_ns <= to_ns)
            values[count++] = sample->values[metric];
    return count;
}

static double count_failed(const struct numbers *numbers, uint64_t from_ns, uint64_t to_ns)
{
    const struct sample *sample;
    double failed = 0;
    for (unsigned n = 0; (sample = numbers_get(numbers, n)) != NULL; n++)
        if (sample->time_ns - (uint64_t)(sample->ms * 1e6) >= from_ns && sample->time_ns <= to_ns)
            failed += sample->values[METRIC_ERRORS];
    return failed;
}

static json_t *metric_json(const struct numbers *numbers, uint64_t begun_ns, uint64_t happened_ns, enum metric metric)
{
    static const char *const verdicts[] = { "unknown", "close", "less", "more" };
    double before[ROOM], after[ROOM];
    uint64_t then_ns = happened_ns + EFFECT_SETTLE_NS;
    unsigned n_before = collect(numbers, begun_ns - EFFECT_WINDOW_NS, begun_ns, metric, before);
    unsigned n_after = collect(numbers, then_ns, then_ns + EFFECT_WINDOW_NS, metric, after);
    struct effect effect = effect_of(before, n_before, after, n_after);
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:s}", "name", metric_names[metric], "before",
                     number_json(effect.before), "after", number_json(effect.after), "low", number_json(effect.low),
                     "high", number_json(effect.high), "verdict", verdicts[effect.verdict]);
}

json_t *effect_json(const struct numbers *numbers, uint64_t begun_ns, uint64_t happened_ns, bool disturbed)
{
    json_t *metrics = json_array();
    for (unsigned i = 0; i < METRICS; i++)
        json_array_append_new(metrics, metric_json(numbers, begun_ns, happened_ns, i));
    return json_pack("{s:i, s:o, s:o, s:b}", "seconds", EFFECT_SECONDS, "failed",
                     json_integer((json_int_t)count_failed(numbers, begun_ns, effect_due_ns(happened_ns))), "metrics",
                     metrics, "disturbed", disturbed);
}
