/* The state of a talk, and how it ends. */
#ifndef CLIENT_H
#define CLIENT_H

#include <stdint.h>
#include "input.h"
#include "outgoing.h"
#include "talk.h"

struct client {
    const struct talk_options *options;
    struct reply_options reply_options;
    const struct addresses *addresses;
    unsigned which;             /* of them it talks to */
    char name[SB_ADDRESS_TEXT_SIZE];
    int fd;
    uint64_t end_ns;            /* of what it waits for now */

    struct input input;
    struct outgoing outgoing;
    struct reply reply;
    unsigned long line_number;  /* of the line last taken; 0: none yet */
    const char *line;           /* the input's, so no input is read before it is sent */
    size_t line_size;
    char *kept;                 /* a copy of the line, of datagrams while another address might take it; or NULL */
    bool says_exit;             /* it is just that word, which need not be answered */
    bool says_quit;             /* it would have been that word, which is not sent */

    bool has_spoken;            /* some line is out, or on its way */
    bool sending;               /* something is on its way out, perhaps an empty datagram */
    bool unsaid;                /* the first byte of a line is not out yet */
    bool asked;                 /* waits for a reply (or the greeting): for its first byte; if it is framed, its last */
    bool half_closed;           /* the input is over, and the server was told */

    bool done;
    int status;
};

bool client_is_datagram(const struct client *client);

/* The server has as long as ever again for what it is waited for. */
void client_restart_timeout(struct client *client);

/* Ends the talk, with a sentence on stderr and status 1. */
void __attribute__((format(printf, 2, 3))) client_fail(struct client *client, const char *format, ...);

/* Ends the talk. */
void client_leave(struct client *client);

/* The reply's line is ended, if one is open. It fails where the output has. */
void client_end_reply(struct client *client);
void client_check_output(struct client *client);

#endif
