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
      .value = "%Y-%m-%d-%X", .help = "strftime format that answers an empty datagram" },
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
    return size == 0 ? -EMSGSIZE : sb_sendall(request, text + 1, size - 1);
}

static int handle(struct sb_request *request)
{
    const struct options *options = sb_options(request, &sb_handler);
    char format[FORMAT_SIZE + 1];
    ssize_t n = sb_recv(request, format, FORMAT_SIZE);
    if (n == 0 && sb_is_datagram(request))
        return answer(request, options->format);
    while (n > 0) {
        format[n] = '\0';
        int r = answer(request, format);
        if (r < 0 || sb_is_datagram(request))
            return r;
        n = sb_recv(request, format, FORMAT_SIZE);
    }
    return n;
}

SB_HANDLER(.name = "time", .summary = "tells the time in the strftime format it is asked with",
           .options_size = sizeof(struct options), .options = option_table, .handle = handle);
