/* What a client hears, and the end of the connection. */
#ifndef RECEIVING_H
#define RECEIVING_H

#include "client.h"

/* Receives once, when something is there, and shows it. */
void receive(struct client *client);

#endif
