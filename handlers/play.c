/* play: the actor of the lab. Each line says what is to be done with it: wait, compute, fail or count. */
#include <ctype.h>
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <switchboard/switchboard.h>
#include "lines.h"

struct options {
    long max_ms, max_us;
};

static const struct sb_option option_table[] = {
    { .name = "max-ms", .type = SB_OPTION_LONG, .offset = offsetof(struct options, max_ms),
      .value = "10000", .max = 3600000, .help = "milliseconds at most that a line may have it sleep" },
    { .name = "max-us", .type = SB_OPTION_LONG, .offset = offsetof(struct options, max_us),
      .value = "5000000", .max = 60000000, .help = "microseconds at most that a line may have it spin" },
    { .name = NULL },
};

static int64_t cpu_time_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static long amount(const char *argument, long most)
{
    long number = strtol(argument, NULL, 10);
    return number < 0 ? 0 : number > most ? most : number;
}

static int play_sleep(struct sb_request *request, const char *argument)
{
    const struct options *options = sb_options(request, &sb_handler);
    long ms = amount(argument, options->max_ms);
    int r = sb_sleep(request, ms);
    return r < 0 ? r : sb_printf(request, "slept %ld ms\n", ms);
}

static int play_spin(struct sb_request *request, const char *argument)
{
    const struct options *options = sb_options(request, &sb_handler);
    long us = amount(argument, options->max_us);
    for (int64_t end_ns = cpu_time_ns() + us * INT64_C(1000); cpu_time_ns() < end_ns;)
        ;
    return sb_printf(request, "spun %ld us\n", us);
}

static int *volatile nowhere;

/* It means to. */
__attribute__((no_sanitize("undefined"))) static int play_crash(struct sb_request *request, const char *argument)
{
    (void)request;
    (void)argument;
    *nowhere = 1;
    return 0;
}

static int play_error(struct sb_request *request, const char *argument)
{
    (void)request;
    (void)argument;
    return -EIO;
}

/* Not by atomic_fetch_add: between the reading and the writing others may come, and what they have added is lost. */
static int play_add(struct sb_request *request, const char *argument)
{
    static atomic_ulong sum;
    (void)argument;
    unsigned long next = atomic_load(&sum) + 1;
    sched_yield();
    atomic_store(&sum, next);
    return sb_printf(request, "%lu\n", next);
}

static const struct part {
    const char *name;
    int (*play)(struct sb_request *request, const char *argument);
} parts[] = {
    { "sleep", play_sleep }, { "spin", play_spin }, { "crash", play_crash }, { "error", play_error },
    { "add", play_add },
};

static int obey(struct sb_request *request, char *line)
{
    size_t length = strcspn(line, " ");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strlen(parts[i].name) == length && strncmp(line, parts[i].name, length) == 0)
            return parts[i].play(request, line + length);
    for (char *c = line; *c != '\0'; c++)
        *c = toupper((unsigned char)*c);
    return sb_printf(request, "%s\n", line);
}

static int handle(struct sb_request *request)
{
    return for_each_line(request, obey);
}

SB_HANDLER(.name = "play", .summary = "does what each line says: sleep MS, spin US, crash, error, add; or capitals",
           .traits = SB_CALLER_FIRST, .options_size = sizeof(struct options), .options = option_table, .handle = handle);
