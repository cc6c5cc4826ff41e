/* ack: says Hello World!, acknowledges each message with a random number, and hangs up at `exit`. */
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <switchboard/switchboard.h>
#include "exit.h"

struct options {
    const char *separator;
};

/* rand() would share one state between all threads; each request has its own. */
struct ack {
    unsigned seed;
};

static const struct sb_option option_table[] = {
    { .name = "separator", .type = SB_OPTION_STRING, .offset = offsetof(struct options, separator),
      .value = ": ", .help = "text between the number and ACK!" },
    { .name = NULL },
};

static int setup(struct sb_request *request)
{
    struct ack *ack = sb_instance(request, &sb_handler);
    if (getrandom(&ack->seed, sizeof ack->seed, 0) < 0)
        return -errno;
    return sb_printf(request, "Hello World!");
}

static int handle(struct sb_request *request)
{
    const struct options *options = sb_options(request, &sb_handler);
    struct ack *ack = sb_instance(request, &sb_handler);
    char message[1024];
    ssize_t n;
    while ((n = sb_recv(request, message, sizeof message)) > 0 && !says_exit(message, n)) {
        int r = sb_printf(request, "%d%sACK!", rand_r(&ack->seed) % 1000 + 1, options->separator);
        if (r < 0)
            return r;
    }
    return n < 0 ? n : 0;
}

SB_HANDLER(.name = "ack", .summary = "acknowledges each message with a random number, until exit",
           .traits = SB_STREAM_ONLY, .instance_size = sizeof(struct ack), .options_size = sizeof(struct options),
           .options = option_table, .setup = setup, .handle = handle);
