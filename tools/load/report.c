#include "report.h"

#include <inttypes.h>
#include <stdio.h>
#include "../show.h"

#define SHOWN_BYTES 60      /* a learned answer that is longer is not shown */

/* --- what was asked ----------------------------------------------------------------------------------------------- */

static void print_plan(const struct load_plan *plan, const char *address)
{
    printf("%s: %u client%s", address, plan->clients, plan->clients == 1 ? "" : "s");
    if (plan->slow > 0)
        printf(", %u of them slow", plan->slow);
    if (plan->address.socktype == SOCK_STREAM)
        printf(", a connection for each %s", plan->talk ? "client" : "request");
    if (plan->rate > 0)
        printf(", %g requests due each second", plan->rate);
    putchar('\n');
}

static void print_expected(const struct load_dialogue *dialogue)
{
    if (dialogue->answer_size <= SHOWN_BYTES)
        show_bytes(stdout, "expected: answer", 1, dialogue->answer, dialogue->answer_size);
    else
        printf("expected: answer 1: %zu bytes\n", dialogue->answer_size);
}

/* --- what came of it ---------------------------------------------------------------------------------------------- */

static void print_errors(const struct load_result *result)
{
    const struct { const char *name; uint64_t n; } kinds[] = {
        { "refused", result->refused }, { "cut off", result->cut_off }, { "wrong", result->wrong },
        { "unanswered", result->unanswered },
    };
    const char *between = ": ";
    printf("errors      %11" PRIu64, load_errors(result));
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].n > 0) {
            printf("%s%" PRIu64 " %s", between, kinds[i].n, kinds[i].name);
            between = ", ";
        }
    putchar('\n');
}

static void print_counts(const struct load_result *result)
{
    double seconds = (double)result->elapsed_ns / 1e9, answered = (double)result->answered;
    printf("requests    %11" PRIu64 "\n", result->begun);
    print_errors(result);
    printf("answered    %11" PRIu64 "   in %.3f s, %.1f each second\n", result->answered, seconds, answered / seconds);
    printf("generator   %10.1f%%   of a CPU", (double)result->cpu_ns / 1e7 / seconds);
    if (result->answered > 0)
        printf(", %.1f us for each answer", (double)result->cpu_ns / 1e3 / answered);
    fputs("\n\n", stdout);
}

static void print_latency(const char *name, const struct histogram *histogram)
{
    static const double percents[] = { 50, 90, 99, 99.9 };
    printf("%-10s", name);
    for (size_t i = 0; i < sizeof percents / sizeof *percents; i++)
        printf(" %11.3f", (double)histogram_percentile(histogram, percents[i]) / 1e6);
    printf(" %11.3f %11.3f\n", (double)histogram->max_ns / 1e6,
           (double)histogram->sum_ns / 1e6 / (double)histogram->count);
}

static void print_latencies(const struct load_plan *plan, const struct load_result *result)
{
    printf("%-10s %11s %11s %11s %11s %11s %11s\n", "ms", "50 %", "90 %", "99 %", "99.9 %", "max", "mean");
    print_latency("latency", &result->latency);
    if (plan->rate > 0) {
        print_latency("service", &result->service);
        puts("\nlatency counts from when a request was due, service from when it was sent, which is what a closed\n"
             "loop would have seen.");
    } else {
        puts("\nA closed loop is blind to stalls: while the server stalls it is asked less, so few requests tell of\n"
             "it. --rate=R asks at a fixed rate.");
    }
}

static void print_example(const struct load_example *example)
{
    puts("The first wrong answer:");
    show_bytes(stdout, "asked", 1, example->question, example->question_size);
    show_bytes(stdout, "heard", 1, example->answer, example->answer_size);
}

static void print_remarks(const struct load_plan *plan, const struct load_result *result)
{
    if (result->outage_ns > 0)
        printf("Longest time without an answer after an error: %.3f s.\n", (double)result->outage_ns / 1e9);
    if (result->called_again > 0)
        printf("%" PRIu64 " times the backlog was full, and the client had to call again.\n", result->called_again);
    if (result->waiting > 0)
        printf("%" PRIu64 " more requests were due when time was up, and waited for a free client: the server is\n"
               "slower than the rate, or there are too few --clients.\n", result->waiting);
    if (result->late > 0)
        printf("%" PRIu64 " requests were sent over 1 ms late, although a client was free: something else\n"
               "had the CPU.\n", result->late);
    if (result->wrong > 0 && result->answered == 0 && plan->dialogue.expects == LOAD_CAPITALS)
        puts("Not one answer was the line in capitals, as `upper` gives it: --send=TEXT says what to ask another\n"
             "handler.");
    if (result->wrong > 0)
        print_example(&result->example);
    if (load_was_bottleneck(plan, result))
        puts("The generator itself was the limit: the figures tell about it, and not about the server alone.");
}

void load_report(const struct load_plan *plan, const char *address, bool learned, const struct load_result *result)
{
    print_plan(plan, address);
    if (learned)
        print_expected(&plan->dialogue);
    putchar('\n');
    print_counts(result);
    if (result->answered > 0)
        print_latencies(plan, result);
    print_remarks(plan, result);
}
