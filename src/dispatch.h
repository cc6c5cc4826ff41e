/* What every accept loop does: work with a gate and a slot, and find each request who handles it. Private. */
#ifndef DISPATCH_H
#define DISPATCH_H

#include "gate.h"

/* Runs body with a gate, and a slot on the scoreboard unless the thread has one. */
int sb_work(struct sb_server *server, int (*body)(struct sb_gate *gate));

/* verify_request and process_request; -errno when no worker could be started for it. */
int sb_dispatch(struct sb_gate *gate, struct sb_request *request);

#endif
