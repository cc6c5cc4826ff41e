/* What is said on the command line of client. */
#ifndef CLIENT_OPTIONS_H
#define CLIENT_OPTIONS_H

#include <stddef.h>
#include "auth.h"
#include "talk.h"

/* The words are argv's. */
struct client_options {
    const char *address[2];     /* up to a NULL */
    struct sb_framing framing;
    struct client_auth auth;
    int connect_timeout_ms;
    const char **messages;      /* --message, up to a NULL, with room for each word of the command line; malloc'd */
    size_t message_room;
    struct talk_options talk;   /* timeout_ms -1: not given */
};

/* Returns where it makes sense, like argument_parse(); out of memory ends the program, too. */
void client_options_parse(int argc, char **argv, struct client_options *ret_options);

#endif
