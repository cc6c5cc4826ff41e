/* What a client says: the lines of its input, and answers to a framing that asks for them. */
#ifndef SENDING_H
#define SENDING_H

#include "client.h"

/* Finds the next line for sending. False: there is none (yet). */
bool sending_take_line(struct client *client);

/* Begins to send it, in its frame. */
void sending_begin_line(struct client *client);

/* Adds an answer to the decoder's question. */
void sending_answer(struct client *client, const char *text);

/* Where a datagram is refused, before anything has come back: sends it again, to the name's next address. False: there
 * is none, or this error is not of that kind. */
bool sending_moves_on(struct client *client, int error);

/* Sends what can be sent without waiting. */
void sending_go_on(struct client *client);

#endif
