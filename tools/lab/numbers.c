#include "numbers.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../calls.h"
#include "../clock.h"
#include "../processes.h"

enum { MEMORY_EVERY = 2 };          /* samples: it is dear to ask for */

const char *const metric_names[METRICS] = { "answers", "p50",      "p99",   "errors", "cpu",
                                            "memory",  "switches", "calls", "waiting" };

/* --- looking ------------------------------------------------------------------------------------------------------ */

/* Of children that have ended and been waited for, which a process tells in ticks. */
static uint64_t children_cpu_ns(pid_t pid)
{
    char path[32], line[1024];
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    size_t size = file ? fread(line, 1, sizeof line - 1, file) : 0;
    line[size] = '\0';
    const char *end = strrchr(line, ')');
    if (end)
        sscanf(end, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %lu %lu", &user, &system);
    if (file)
        fclose(file);
    return (user + system) * UINT64_C(1000000000) / (uint64_t)sysconf(_SC_CLK_TCK);
}

/* Who is waited for meanwhile is missed, and not counted twice. */
static uint64_t cpu_ns(const struct process_tree *tree)
{
    uint64_t sum_ns = 0;
    for (unsigned i = 0; i < tree->n; i++)
        sum_ns += children_cpu_ns(tree->pids[i]);
    return sum_ns + process_tree_cpu_ns(tree);
}

static void look_at_processes(struct numbers *numbers, const struct stage *stage, struct numbers_base *now)
{
    struct process_tree tree;
    numbers->memory_kb = 0;
    now->cpu_ns = numbers->base.cpu_ns;
    if (stage->pid == 0 || process_tree_look(stage->pid, &tree) < 0)
        return;
    now->cpu_ns = cpu_ns(&tree);
    if (numbers->count % MEMORY_EVERY == 0)
        numbers->memory_kb = process_tree_pss_kb(&tree);
    process_tree_finish(&tree);
}

static struct numbers_base look(struct numbers *numbers, const struct stage *stage, const struct crowd *crowd)
{
    struct numbers_base now = { .time_ns = clock_ns(), .calls = calls_read(stage->calls_fd),
                                .switches = calls_read(stage->switches_fd) };
    look_at_processes(numbers, stage, &now);
    crowd_total(crowd, &now.totals);
    crowd_sum(crowd, &now.answers, &now.largest);
    return now;
}

void numbers_begin(struct numbers *numbers, const struct stage *stage, const struct crowd *crowd, uint64_t zero_ns)
{
    numbers->count = 0;
    numbers->zero_ns = zero_ns;
    numbers->base = look(numbers, stage, crowd);
}

/* --- a sample ----------------------------------------------------------------------------------------------------- */

static void subtract(struct histogram *histogram, const struct histogram *before)
{
    histogram->count -= before->count;
    histogram->sum_ns -= before->sum_ns;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        histogram->buckets[i] -= before->buckets[i];
}

static double percentile_us(const struct histogram *latency, double percent)
{
    return latency->count > 0 ? (double)histogram_percentile(latency, percent) / 1000 : NAN;
}

/* NaN where it is not counted, or nothing was answered that it could be shared out to. */
static double for_each(int64_t now, int64_t before, double answers, double unit)
{
    return now >= 0 && before >= 0 && now >= before && answers > 0 ? (double)(now - before) / unit / answers : NAN;
}

static double find_lost(const struct numbers *numbers, const struct crowd *crowd, const struct numbers_base *now,
                        double seconds)
{
    uint64_t answers, largest;
    if (!crowd_sum(crowd, &answers, &largest))
        return NAN;
    double answered = (double)now->answers - (double)numbers->base.answers;
    double added = (double)now->largest - (double)numbers->base.largest;
    return answered > added && answered > 0 && added >= 0 ? (answered - added) / seconds : 0;
}

static void fill(const struct numbers *numbers, const struct numbers_base *now, struct sample *sample)
{
    const struct numbers_base *base = &numbers->base;
    struct histogram latency = now->totals.latency;
    double answers = (double)(now->totals.answered - base->totals.answered);
    subtract(&latency, &base->totals.latency);
    sample->values[METRIC_ANSWERS] = answers / (sample->ms / 1000);
    sample->values[METRIC_P50] = percentile_us(&latency, 50);
    sample->values[METRIC_P99] = percentile_us(&latency, 99);
    sample->values[METRIC_ERRORS] = (double)(now->totals.errors - base->totals.errors);
    sample->values[METRIC_CPU] = for_each((int64_t)now->cpu_ns, (int64_t)base->cpu_ns, answers, 1000);
    sample->values[METRIC_MEMORY] = numbers->memory_kb > 0 ? (double)numbers->memory_kb : NAN;
    sample->values[METRIC_SWITCHES] = for_each(now->switches, base->switches, answers, 1);
    sample->values[METRIC_CALLS] = for_each(now->calls, base->calls, answers, 1);
}

const struct sample *numbers_take(struct numbers *numbers, const struct stage *stage, const struct crowd *crowd,
                                  const struct exchange *exchange)
{
    struct numbers_base now = look(numbers, stage, crowd);
    struct sample *sample = &numbers->samples[numbers->count % NUMBERS_KEPT];
    int waiting;
    *sample = (struct sample){ .time_ns = now.time_ns, .ms = (double)(now.time_ns - numbers->base.time_ns) / 1e6 };
    fill(numbers, &now, sample);
    sample->lost = find_lost(numbers, crowd, &now, sample->ms / 1000);
    exchange_count(exchange, &sample->workers, &sample->busy, &waiting);
    sample->values[METRIC_WAITING] = waiting < 0 ? NAN : waiting;
    numbers->base = now;
    numbers->count++;
    return sample;
}

const struct sample *numbers_get(const struct numbers *numbers, unsigned n)
{
    unsigned first = numbers->count > NUMBERS_KEPT ? numbers->count - NUMBERS_KEPT : 0;
    return first + n < numbers->count ? &numbers->samples[(first + n) % NUMBERS_KEPT] : NULL;
}

/* --- as JSON ------------------------------------------------------------------------------------------------------ */

json_t *number_json(double value)
{
    return isfinite(value) ? json_real(round(value * 1000) / 1000) : json_null();
}

json_t *numbers_json(const struct numbers *numbers, const struct sample *sample)
{
    json_t *made = json_pack("{s:o, s:o, s:i, s:i, s:o}", "t",
                             number_json((double)(int64_t)(sample->time_ns - numbers->zero_ns) / 1e6), "ms",
                             number_json(sample->ms), "workers", (int)sample->workers, "busy", (int)sample->busy,
                             "lost", number_json(sample->lost));
    for (unsigned i = 0; made && i < METRICS; i++)
        json_object_set_new(made, metric_names[i], number_json(sample->values[i]));
    return made;
}
