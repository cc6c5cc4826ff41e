/* Answers without reading what it was sent. */
#include <switchboard/switchboard.h>

static int handle(struct sb_request *request)
{
    static const char greeting[65536];
    char first;
    ssize_t n = sb_recv(request, &first, 1);
    return n < 0 ? n : sb_sendall(request, greeting, sizeof greeting);
}

SB_HANDLER(.name = "greeter", .summary = "reads one byte, sends 65536", .handle = handle);
