/* spin: a busy service. Each line is a number of microseconds of processor time to burn before the answer. */
#include <stdlib.h>
#include <time.h>
#include <switchboard/switchboard.h>
#include "lines.h"

struct options {
    long us, max;
};

static const struct sb_option option_table[] = {
    { .name = "us", .type = SB_OPTION_LONG, .offset = offsetof(struct options, us),
      .value = "1000", .max = 60000000, .help = "microseconds for a line that asks for no number" },
    { .name = "max", .type = SB_OPTION_LONG, .offset = offsetof(struct options, max),
      .value = "1000000", .max = 60000000, .help = "microseconds at most, whatever a line asks for" },
    { .name = NULL },
};

static int64_t cpu_time_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static int obey(struct sb_request *request, char *line)
{
    const struct options *options = sb_options(request, &sb_handler);
    char *end;
    long us = strtol(line, &end, 10);
    if (end == line || us < 0)
        us = options->us;
    if (us > options->max)
        us = options->max;
    for (int64_t end_ns = cpu_time_ns() + us * INT64_C(1000); cpu_time_ns() < end_ns;)
        ;
    return sb_printf(request, "spun %ld us\n", us);
}

static int handle(struct sb_request *request)
{
    return for_each_line(request, obey);
}

SB_HANDLER(.name = "spin", .summary = "burns the microseconds of processor time that each line asks for, then answers",
           .traits = SB_CALLER_FIRST | SB_BLOCKS, .options_size = sizeof(struct options),
           .options = option_table, .handle = handle);
