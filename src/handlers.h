/* A server's handlers: their list, what it asks of classes and addresses, and a request's setup, handle and finish.
 * Private. */
#ifndef HANDLERS_H
#define HANDLERS_H

#include "options.h"

#define MAX_HANDLERS 8

struct sb_handlers {
    struct sb_options list[MAX_HANDLERS];       /* each handler, with its options */
    size_t instance_offsets[MAX_HANDLERS];
    bool configured[MAX_HANDLERS];
    unsigned n;
    size_t instance_size;   /* of all together, for each request */
    char *name;             /* "auth+upper" */
};

/* Reads and checks the options, the composition and the traits. Logs the reason. */
int sb_handlers_create(struct sb_server *server, const struct sb_handler *const *handlers);
void sb_handlers_destroy(struct sb_handlers *handlers);

/* Whether they may be reached at this address. Logs the reason. */
int sb_handlers_check_address(struct sb_server *server, const struct sb_listener *listener);

/* The base's finish_request: runs setup, handle and finish of the composed handler, and sends what is left. */
int sb_handlers_run(struct sb_request *request);

#endif
