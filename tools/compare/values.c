/* From what a run has found out to metrics. */
#include "play.h"

#include <math.h>
#include <sys/param.h>

static double seconds_of(struct timeval time)
{
    return time.tv_sec + time.tv_usec / 1e6;
}

struct cost cost_of(const struct run *run)
{
    return (struct cost){ .user_s = seconds_of(run->usage.ru_utime), .system_s = seconds_of(run->usage.ru_stime),
                           .voluntary = run->usage.ru_nvcsw, .involuntary = run->usage.ru_nivcsw, .calls = run->calls };
}

/* Of fewer than a hundred there is no hundredth. */
static void set_latencies(const struct histogram *latency, double *values)
{
    static const struct { enum metric metric; double percent; uint64_t least; } wanted[] = {
        { P50_US, 50, 1 }, { P90_US, 90, 10 }, { P99_US, 99, 100 }, { P99_9_US, 99.9, 1000 }, { MAX_US, 100, 1 },
    };
    for (unsigned i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (latency->count >= wanted[i].least)
            values[wanted[i].metric] = histogram_percentile(latency, wanted[i].percent) / 1e3;
}

static void set_counts(const struct load_result *load, double least_s, bool numbers, double *values)
{
    values[THROUGHPUT] = load->answered / MAX(load->elapsed_ns / 1e9, least_s);
    values[ANSWERS] = load->answered;
    values[ERRORS] = load_errors(load);
    values[REFUSED] = load->refused;
    values[CUT_OFF] = load->cut_off;
    values[WRONG] = load->wrong;
    values[UNANSWERED] = load->unanswered;
    values[CALLED_AGAIN] = load->called_again;
    values[FAIRNESS] = load->fairness;
    values[OUTAGE_MS] = load->outage_ns / 1e6;
    if (numbers)
        values[LARGEST] = load->largest_number;
}

/* Who has died loses the more, the longer it is asked. */
static void set_losses(const struct run *run, double *values)
{
    values[POISONED] = run->load.poisoned;
    if (run->load.poisoned > 0 && !run->died)
        values[LOST_EACH] = values[ERRORS] / run->load.poisoned;
}

/* Less what a life costs in which nothing is served. */
static void set_costs(const struct run *run, const struct cost *blank, double *values)
{
    struct cost whole = cost_of(run);
    double requests = run->load.answered, user_s = whole.user_s - blank->user_s,
           system_s = whole.system_s - blank->system_s;
    long voluntary = MAX(whole.voluntary - blank->voluntary, 0),
         involuntary = MAX(whole.involuntary - blank->involuntary, 0);
    values[TOTAL_CPU_S] = whole.user_s + whole.system_s;
    if (requests == 0)
        return;
    values[USER_US] = MAX(user_s, 0) * 1e6 / requests;
    values[SYSTEM_US] = MAX(system_s, 0) * 1e6 / requests;
    values[CPU_US] = MAX(user_s + system_s, 0) * 1e6 / requests;
    values[VOLUNTARY] = voluntary / requests;
    values[SWITCHES] = (voluntary + involuntary) / requests;
    if (whole.calls >= 0 && blank->calls >= 0)
        values[SYSCALLS] = MAX(whole.calls - blank->calls, 0) / requests;
}

uint64_t seen_by(const struct play *play, const struct run *run)
{
    const struct load_result *load = &run->load;
    switch (play->match->scenario->need.of) {
    case ANSWERED:
        return load->answered;
    case KILLED:
        return run->died ? play->match->needed : load->poisoned;
    default:
        return load->answered + load_errors(load);
    }
}

void values_of(const struct play *play, const struct run *run, double *values)
{
    for (unsigned i = 0; i < METRICS; i++)
        values[i] = NAN;
    /* A server that falls silent has answered nothing for the rest of its time. */
    double least_s = play->match->scenario->requests_each == 0 ? play->options->seconds : 1e-9;
    set_counts(&run->load, least_s, play->dialogue.expects == LOAD_NUMBER, values);
    if (play->match->scenario->poisoned)
        set_losses(run, values);
    set_latencies(&run->load.latency, values);
    set_costs(run, &play->blanks[play->current], values);
    values[PSS_KB] = run->pss_kb;
    values[PROCESSES] = run->processes;
    values[THREADS] = run->threads;
    values[CONNECTION_KB] = run->connection_kb;
    for (unsigned i = 0; i < METRICS && seen_by(play, run) < play->match->needed; i++)
        if (!metric_is_count(i))
            values[i] = NAN;
}
