/* count: greets, numbers what it hears, and hangs up at `exit`. */
#include <string.h>
#include <switchboard/switchboard.h>
#include "exit.h"

enum { MESSAGE_SIZE = 1024, PREFIX_SIZE = 64 };

static int setup(struct sb_request *request)
{
    return sb_printf(request, "连接成功!");
}

static int handle(struct sb_request *request)
{
    char message[MESSAGE_SIZE], reply[PREFIX_SIZE + MESSAGE_SIZE];
    ssize_t n;
    for (unsigned long count = 1; (n = sb_recv(request, message, sizeof message)) > 0; count++) {
        if (says_exit(message, n))
            return 0;
        int prefix_size = snprintf(reply, PREFIX_SIZE, "第%lu条信息:", count);
        memcpy(reply + prefix_size, message, n);
        int r = sb_sendall(request, reply, prefix_size + n);
        if (r < 0)
            return r;
    }
    return n;
}

SB_HANDLER(.name = "count", .summary = "numbers the messages of a connection, in Chinese, until exit",
           .traits = SB_STREAM_ONLY,
           .setup = setup, .handle = handle);
