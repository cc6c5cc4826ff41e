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
    SB_FRAME_OPTION,
    { .name = NULL },
};

static int setup(struct sb_request *request)
{
    static const char greeting[] = "Hello World!";
    struct ack *ack = sb_instance(request, &sb_handler);
    if (getrandom(&ack->seed, sizeof ack->seed, 0) < 0)
        return -errno;
    return sb_send_message(request, greeting, sizeof greeting - 1);
}

static int acknowledge(struct sb_request *request)
{
    const struct options *options = sb_options(request, &sb_handler);
    struct ack *ack = sb_instance(request, &sb_handler);
    char *text;
    int size = asprintf(&text, "%d%sACK!", rand_r(&ack->seed) % 1000 + 1, options->separator);
    if (size < 0)
        return -ENOMEM;
    int r = sb_send_message(request, text, size);
    free(text);
    return r;
}

static int handle(struct sb_request *request)
{
    char message[1024];
    size_t size;
    int r;
    while ((r = sb_recv_message(request, message, sizeof message, &size)) > 0 && !says_exit(message, size))
        if ((r = acknowledge(request)) < 0)
            break;
    return r < 0 ? r : 0;
}

SB_HANDLER(.name = "ack", .summary = "acknowledges each message with a random number, until exit",
           .traits = SB_STREAM_ONLY, .instance_size = sizeof(struct ack), .options_size = sizeof(struct options),
           .options = option_table, .setup = setup, .handle = handle);
