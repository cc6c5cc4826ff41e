/* The sentences about a talk that goes wrong. */
#ifndef TROUBLE_H
#define TROUBLE_H

#include "client.h"

/* What an error leaves behind: ": line 3 got no reply", or "". Valid until the next call. */
const char *trouble_loss(const struct client *client);

/* "; ..." where the server may not have been content with the client's HMAC, or "": it hangs up and says nothing. */
const char *trouble_suspicion(const struct client *client);

/* These end the talk. error: an errno; the server does not keep to its framing; it closed within a message. */
void trouble_connection_failed(struct client *client, int error);
void trouble_decoding_failed(struct client *client);
void trouble_cut_off(struct client *client);

/* A message, or, where standard input is read, a line: how sentences call what is sent. */
const char *trouble_noun(const struct client *client);

#endif
