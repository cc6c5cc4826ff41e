/* What a running server can be asked to be: a strategy, how its workers share a listener, a handler and its options.
 * All else stays as the command line of serve has it. */
#ifndef SERVE_WISH_H
#define SERVE_WISH_H

#include "options.h"

struct wish {
    char *strategy, *handler;
    enum sb_discipline accept;
    char *options[SERVE_ITEMS_MAX + 1];     /* NULL-terminated */
};

/* What is to be different. NULL, 0 and empty lists: that stays. */
struct wish_change {
    const char *strategy, *handler;
    const char *accept;                     /* a discipline's name */
    const char *workers;                    /* "+2", "-1", or "8" */
    const char *options[SERVE_ITEMS_MAX + 1];
};

/* NULL: out of memory. free: NULL is allowed. */
struct wish *wish_new(const struct serve_arguments *arguments);
void wish_free(struct wish *wish);

/* The next wish. Another handler begins without options; to the same one's they are added, one of the same name in its
 * place. NULL, with a sentence in why: it makes no sense, or there is no memory. */
struct wish *wish_next(const struct wish *wish, const struct wish_change *change, char *why, size_t why_size);

/* Puts it into the arguments, which borrow from it. */
void wish_apply(const struct wish *wish, struct serve_arguments *arguments);

#endif
