/* sb_offload: a few threads for calls that block, of a server whose requests share one. Private. */
#ifndef VERBS_OFFLOAD_H
#define VERBS_OFFLOAD_H

#include "../objects.h"

/* Ends the threads, once no request can need them. */
void sb_helpers_end(struct sb_server *server);

#endif
