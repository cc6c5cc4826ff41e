/* A counter in memory, without a lock: what the traits are for. */
#include <switchboard/switchboard.h>

static int total;

static int handle(struct sb_request *request)
{
    return sb_printf(request, "%d\n", ++total);
}

SB_HANDLER(.name = "tally", .summary = "counts its calls", .traits = SB_NOT_THREAD_SAFE | SB_KEEPS_STATE,
           .handle = handle);
