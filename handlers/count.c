/* count: greets, numbers what it hears, and hangs up at `exit`. */
#include <string.h>
#include <switchboard/switchboard.h>
#include "exit.h"

enum { MESSAGE_SIZE = 1024, PREFIX_SIZE = 64 };

static int setup(struct sb_request *request)
{
    static const char greeting[] = "连接成功!";
    return sb_send_message(request, greeting, sizeof greeting - 1);
}

static int handle(struct sb_request *request)
{
    char message[MESSAGE_SIZE], reply[PREFIX_SIZE + MESSAGE_SIZE];
    size_t size;
    int r;
    for (unsigned long count = 1; (r = sb_recv_message(request, message, sizeof message, &size)) > 0; count++) {
        if (says_exit(message, size))
            return 0;
        int prefix_size = snprintf(reply, PREFIX_SIZE, "第%lu条信息:", count);
        memcpy(reply + prefix_size, message, size);
        r = sb_send_message(request, reply, prefix_size + size);
        if (r < 0)
            break;
    }
    return r;
}

static const struct sb_option option_table[] = { SB_FRAME_OPTION, { .name = NULL } };

SB_HANDLER(.name = "count", .summary = "numbers the messages of a connection, in Chinese, until exit",
           .traits = SB_STREAM_ONLY, .options = option_table, .setup = setup, .handle = handle);
