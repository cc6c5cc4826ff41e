/* print: one note, printed on the server's standard output. A datagram's sender is printed too, and gets a reply. */
#include <switchboard/switchboard.h>
#include "terminal.h"

enum { NOTE_SIZE = 1024 };

struct options {
    const char *reply;
};

static const struct sb_option option_table[] = {
    { .name = "reply", .type = SB_OPTION_STRING, .offset = offsetof(struct options, reply),
      .value = "下了一天的雨", .help = "text that answers a datagram; empty: no answer" },
    SB_FRAME_OPTION,
    { .name = NULL },
};

/* A Unix socket without a name cannot be answered. */
static bool wants_reply(struct sb_request *request, const struct options *options)
{
    return options->reply[0] != '\0' && sb_client_address(request)->size > 0;
}

static int handle(struct sb_request *request)
{
    const struct options *options = sb_options(request, &sb_handler);
    char note[NOTE_SIZE];
    size_t size;
    int r = sb_recv_message(request, note, sizeof note, &size);
    if (r <= 0)
        return r;
    size = without_newline(note, size);
    make_harmless(note, size, "\n\t");
    if (!sb_is_datagram(request))
        return show(request, "%.*s\n", (int)size, note);
    r = show(request, "%.*s\n%s\n", (int)size, note, sb_client_name(request));
    return r < 0 || !wants_reply(request, options) ? r
                                                   : sb_send_message(request, options->reply, strlen(options->reply));
}

SB_HANDLER(.name = "print", .summary = "prints one note on the server's standard output", .traits = SB_CALLER_FIRST,
           .options_size = sizeof(struct options), .options = option_table, .handle = handle);
