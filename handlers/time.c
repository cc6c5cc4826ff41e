/* time: the request is a strftime(3) format, the answer is the server's time in it. */
#include <errno.h>
#include <time.h>
#include <switchboard/switchboard.h>

enum { FORMAT_SIZE = 1024, TEXT_SIZE = 16 * 1024 };

struct options {
    const char *format;
};

static const struct sb_option option_table[] = {
    { .name = "format", .type = SB_OPTION_STRING, .offset = offsetof(struct options, format),
      .value = "%Y-%m-%d-%X", .help = "strftime format that answers an empty message" },
    SB_FRAME_OPTION,
    { .name = NULL },
};

static int answer(struct sb_request *request, const char *format)
{
    /* strftime() returns 0 for a text that is too long and for an empty one: the dot tells them apart. */
    char dotted[FORMAT_SIZE + 2], text[TEXT_SIZE];
    snprintf(dotted, sizeof dotted, ".%s", format);
    time_t now = time(NULL);
    struct tm local;
    if (localtime_r(&now, &local) == NULL)
        return -errno;
    size_t size = strftime(text, sizeof text, dotted, &local);
    return size == 0 ? -EMSGSIZE : sb_send_message(request, text + 1, size - 1);
}

static int handle(struct sb_request *request)
{
    const struct options *options = sb_options(request, &sb_handler);
    char format[FORMAT_SIZE + 1];
    size_t size;
    int r;
    while ((r = sb_recv_message(request, format, FORMAT_SIZE, &size)) > 0) {
        format[size] = '\0';
        r = answer(request, size > 0 ? format : options->format);
        if (r < 0)
            break;
    }
    return r;
}

SB_HANDLER(.name = "time", .summary = "tells the time in the strftime format it is asked with",
           .traits = SB_CALLER_FIRST,
           .options_size = sizeof(struct options), .options = option_table, .handle = handle);
