/* upper: answers with the same bytes in capitals, as Python's bytes.upper() does: ASCII letters only. */
#include <switchboard/switchboard.h>

static void to_upper(char *text, ssize_t size)
{
    for (ssize_t i = 0; i < size; i++)
        if (text[i] >= 'a' && text[i] <= 'z')
            text[i] -= 'a' - 'A';
}

static int handle(struct sb_request *request)
{
    char text[1024];
    ssize_t n;
    /* The end is sent too: 0 bytes are nothing on a connection, and the answer to an empty datagram. */
    do {
        n = sb_recv(request, text, sizeof text);
        if (n < 0)
            return n;
        to_upper(text, n);
        int r = sb_sendall(request, text, n);
        if (r < 0)
            return r;
    } while (n > 0);
    return 0;
}

SB_HANDLER(.name = "upper", .summary = "answers in capitals", .handle = handle);
