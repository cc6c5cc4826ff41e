/* bytes: each line is a number, and that many bytes are the answer (UNIX Network Programming, chapter 30). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <switchboard/switchboard.h>

struct options {
    long max;
};

static const struct sb_option option_table[] = {
    { .name = "max", .type = SB_OPTION_LONG, .offset = offsetof(struct options, max),
      .value = "16777216", .min = 1, .max = 1L << 30, .help = "bytes at most; asking for more ends the request" },
    { .name = NULL },
};

static int send_bytes(struct sb_request *request, long size)
{
    char block[4096];
    memset(block, '.', sizeof block);
    for (long part; size > 0; size -= part) {
        part = size < (long)sizeof block ? size : (long)sizeof block;
        int r = sb_sendall(request, block, part);
        if (r < 0)
            return r;
    }
    return 0;
}

static int handle(struct sb_request *request)
{
    const struct options *options = sb_options(request, &sb_handler);
    char line[64];
    ssize_t n;
    while ((n = sb_readline(request, line, sizeof line)) > 0) {
        long size = strtol(line, NULL, 10);
        if (size <= 0 || size > options->max)
            return -EINVAL;
        int r = send_bytes(request, size);
        if (r < 0)
            return r;
    }
    return n;
}

SB_HANDLER(.name = "bytes", .summary = "sends as many bytes as each line asks for (client --newline)",
           .traits = SB_CALLER_FIRST,
           .options_size = sizeof(struct options), .options = option_table, .handle = handle);
