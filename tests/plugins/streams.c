/* Says each line again, by rfile and a buffered wfile. */
#include <switchboard/switchboard.h>

static int handle(struct sb_request *request)
{
    char line[128];
    FILE *in = sb_rfile(request), *out = sb_wfile(request);
    for (int count = 1; in && out && fgets(line, sizeof line, in); count++)
        if (fprintf(out, "%d %s", count, line) < 0 || fflush(out) != 0)
            return -1;
    return 0;
}

SB_HANDLER(.name = "streams", .summary = "numbers lines, by stdio", .traits = SB_CALLER_FIRST, .wbufsize = 4096,
           .handle = handle);
