/* Answers whatever comes with the caller's name and our address, as a handler and as the scoreboard know them. */
#include <string.h>
#include <switchboard/switchboard.h>

/* What the board says of a caller: the same as the handler's, or what it is instead. */
static const char *on_board(struct sb_request *request, char text[SB_ADDRESS_TEXT_SIZE])
{
    const struct sb_scoreboard *board = sb_server_scoreboard(sb_request_server(request));
    struct sb_address peer;
    strcpy(text, "nobody");
    for (unsigned i = 0; i < board->slot_count; i++)
        if (sb_slot_peer(sb_scoreboard_slot(board, i), &peer) &&
            strcmp(sb_address_format_peer(&peer, text), sb_client_name(request)) == 0)
            return "same";
    return text;
}

static int handle(struct sb_request *request)
{
    char byte[4096], local[SB_ADDRESS_TEXT_SIZE], seen[SB_ADDRESS_TEXT_SIZE];
    struct sb_address address;
    ssize_t n;
    while ((n = sb_recv(request, byte, sizeof byte)) > 0) {
        int r = sb_local_address(request, &address);
        if (r == 0)
            r = sb_printf(request, "%s %s %s\n", sb_client_name(request), sb_address_format_peer(&address, local),
                          on_board(request, seen));
        if (r < 0)
            return r;
    }
    return n;
}

SB_HANDLER(.name = "who", .summary = "says who calls", .handle = handle);
