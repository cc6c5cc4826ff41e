/* sleep: a slow service. Each line is a number of milliseconds to wait before the answer. */
#include <stdlib.h>
#include <switchboard/switchboard.h>
#include "lines.h"

struct options {
    long ms, max;
};

static const struct sb_option option_table[] = {
    { .name = "ms", .type = SB_OPTION_LONG, .offset = offsetof(struct options, ms),
      .value = "1000", .max = 3600000, .help = "milliseconds for a line that asks for no number" },
    { .name = "max", .type = SB_OPTION_LONG, .offset = offsetof(struct options, max),
      .value = "60000", .max = 3600000, .help = "milliseconds at most, whatever a line asks for" },
    { .name = NULL },
};

static int obey(struct sb_request *request, char *line)
{
    const struct options *options = sb_options(request, &sb_handler);
    char *end;
    long ms = strtol(line, &end, 10);
    if (end == line || ms < 0)
        ms = options->ms;
    if (ms > options->max)
        ms = options->max;
    int r = sb_sleep(request, ms);
    return r < 0 ? r : sb_printf(request, "slept %ld ms\n", ms);
}

static int handle(struct sb_request *request)
{
    return for_each_line(request, obey);
}

SB_HANDLER(.name = "sleep", .summary = "waits the milliseconds that each line asks for, then answers",
           .traits = SB_CALLER_FIRST,
           .options_size = sizeof(struct options), .options = option_table, .handle = handle);
