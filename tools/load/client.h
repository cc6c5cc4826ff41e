/* A client's request, from its beginning to its answer or failure. */
#ifndef CLIENT_H
#define CLIENT_H

#include "run.h"

/* Takes a free client's next request, which was due at due_ns. */
void client_begin(struct run *run, struct client *client, uint64_t due_ns, uint64_t now_ns);

/* What epoll(7) says of it. */
void client_event(struct run *run, struct client *client, uint32_t events);

/* It has rested: it goes on with its request, or is free, or, as a slow one, connects. */
void client_wake(struct run *run, struct client *client, uint64_t now_ns);

/* Its request is given up. */
void client_give_up(struct run *run, struct client *client, uint64_t now_ns);

#endif
