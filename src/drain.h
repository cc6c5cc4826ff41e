/* The end of serving: waiting for the requests of this process, and cutting them off. Private. */
#ifndef DRAIN_H
#define DRAIN_H

#include "objects.h"

/* A drain that is over within this is not worth a line. */
#define QUIET_DRAIN_MS 100

/* What a request has left to end once it is cut off. */
#define CUT_GRACE_MS 500

/* How long running requests have: config.drain_timeout_ms, 0 after sb_server_stop_now(), and without limit (-1)
 * in a worker that retires, and after sb_server_retire(). */
int sb_drain_ms(const struct sb_server *server);

/* When requests that a loop itself handles end after a stop: that is settled when one first asks. */
int64_t sb_drain_deadline_ns(struct sb_server *server);

/* The two lines of a drain, and why it is over. */
const char *sb_drain_reason(const struct sb_server *server);
void sb_drain_announce(const struct sb_server *server, unsigned left);
void sb_drain_log_cut(const struct sb_server *server, unsigned left);

/* Waits for this process's requests until then, and cuts them off. */
void sb_drain(struct sb_server *server);

/* Now. */
void sb_cut(struct sb_server *server);

#endif
