/* Which of a name's addresses a load goes to: it measures one server, not the way there. */
#ifndef SETTLE_H
#define SETTLE_H

#include "../arguments.h"
#include "load.h"

/* The first address that is connected, as sb_address_connect() tries them, on a connection of its own that says
 * nothing; with datagrams the first that answers a question, each asked after the one before, or else the first that
 * does not refuse it. NULL: none. One address alone is not asked. timeout_ms: for connections. */
const struct sb_address *load_settle(const struct addresses *addresses, const struct load_dialogue *dialogue,
                                     int timeout_ms);

#endif
