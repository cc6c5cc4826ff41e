/* A handler's options: KEY=VALUE, checked, into the block that it declares. Private. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "objects.h"

struct sb_options {
    const struct sb_handler *handler;
    void *block;                        /* options_size bytes, or NULL */
};

/* Makes the block, with the defaults. Logs what is wrong: -EINVAL, -ENOMEM. */
int sb_options_init(struct sb_server *server, struct sb_options *options);
void sb_options_finish(struct sb_options *options);

/* "key=value" for the one of these n handlers that declares it, or "handler.key=value". handlers: all their names.
 * Errors as above. */
int sb_options_set(struct sb_server *server, struct sb_options *list, unsigned n, const char *handlers,
                   const char *text);

#endif
