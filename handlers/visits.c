/* visits: a guest book that only counts. Each line is answered with how many there have been, of all callers. */
#include <stdatomic.h>
#include <switchboard/switchboard.h>
#include "lines.h"

static atomic_ulong visits;     /* of this process */

static int count(struct sb_request *request, char *line)
{
    (void)line;
    return sb_printf(request, "%lu\n", atomic_fetch_add(&visits, 1) + 1);
}

static int handle(struct sb_request *request)
{
    return for_each_line(request, count);
}

SB_HANDLER(.name = "visits", .summary = "answers each line with how many its process has counted",
           .traits = SB_KEEPS_STATE | SB_CALLER_FIRST, .handle = handle);
