/* upper: answers with the same bytes in capitals, as Python's bytes.upper() does: ASCII letters only. */
#include <switchboard/switchboard.h>

static void to_upper(char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (text[i] >= 'a' && text[i] <= 'z')
            text[i] -= 'a' - 'A';
}

static int handle(struct sb_request *request)
{
    char text[1024];
    size_t size;
    int r;
    while ((r = sb_recv_message(request, text, sizeof text, &size)) > 0) {
        to_upper(text, size);
        r = sb_send_message(request, text, size);
        if (r < 0)
            break;
    }
    return r;
}

static const struct sb_option option_table[] = { SB_FRAME_OPTION, { .name = NULL } };

SB_HANDLER(.name = "upper", .summary = "answers in capitals", .traits = SB_CALLER_FIRST,
           .options = option_table, .handle = handle);
