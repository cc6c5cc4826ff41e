/* sticky: says two things back to back, and one receive gets both; unless the first says how long it is. */
#include <switchboard/switchboard.h>

struct options {
    bool all;
};

static const struct sb_option option_table[] = {
    { .name = "all", .type = SB_OPTION_BOOL, .offset = offsetof(struct options, all),
      .value = "no", .help = "frame the second message too, not only the first" },
    SB_FRAME_OPTION,
    { .name = NULL },
};

static int handle(struct sb_request *request)
{
    static const char first[] = "下了一天的雨", second[] = "适合发呆";
    const struct options *options = sb_options(request, &sb_handler);
    int r = sb_send_message(request, first, sizeof first - 1);
    if (r < 0)
        return r;
    return options->all ? sb_send_message(request, second, sizeof second - 1)
                        : sb_sendall(request, second, sizeof second - 1);
}

SB_HANDLER(.name = "sticky", .summary = "sends two messages back to back, which stick together",
           .traits = SB_STREAM_ONLY, .options_size = sizeof(struct options), .options = option_table,
           .handle = handle);
