/* The word that a server is ready: when the first of its loops can take a call, wherever that loop runs. Private. */
#ifndef READY_H
#define READY_H

#include "objects.h"

/* Before the loops begin. */
void sb_ready_reset(struct sb_server *server);

/* A loop can take a call from now on. In a forked worker the parent is told, who then has to call sb_ready_tell(). */
void sb_ready_here(struct sb_server *server);

/* Calls config.ready, once, if a loop is ready. */
void sb_ready_tell(struct sb_server *server);

/* Whether one is, or was. */
static inline bool sb_is_ready(const struct sb_server *server)
{
    return __atomic_load_n(&server->crew.board->ready, __ATOMIC_ACQUIRE);
}

#endif
