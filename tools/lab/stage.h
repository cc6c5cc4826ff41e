/* The server on the stage: `switchboard serve`, which the lab starts and ends, and changes by `switchboard switch`
 * only. */
#ifndef LAB_STAGE_H
#define LAB_STAGE_H

#include <stdbool.h>
#include <switchboard/address.h>
#include "../change.h"
#include "orders.h"

#define STAGE_ADDRESSES_MAX 8
#define STAGE_TRACE 131072          /* events of the ring: at 100000 a second it lasts for more than a second */

/* What the server is. */
struct stage_play {
    char strategy[ORDER_TEXT_SIZE], accept[ORDER_TEXT_SIZE], handler[ORDER_TEXT_SIZE];
    char options[ORDER_OPTIONS_MAX][ORDER_TEXT_SIZE];
    unsigned n_options;
};

struct stage_plan {
    struct stage_play play;
    const char *const *addresses;   /* NULL-terminated */
    bool force;
};

struct stage {
    pid_t pid;                      /* the supervisor; 0: it has ended */
    int status;                     /* then: of wait(2) */
    int stdout_fd, calls_fd, switches_fd;       /* the last two -1: the kernel does not count for us */
    struct sb_address addresses[STAGE_ADDRESSES_MAX];
    unsigned n_addresses;
    struct stage_play now, next;    /* what it is, and shall become while a change is under way */
    struct change change;
    bool changing;
};

/* Starts it, and waits until it listens; a Control-C is not for it, and it dies with this process. Its standard error
 * is ours. Returns 0, or the exit status that the lab deserves: what went wrong has been said. */
int stage_start(struct stage *stage, const struct stage_plan *plan);

/* Has it become another one; false, with a sentence: a change is under way, or it has ended. */
bool stage_change(struct stage *stage, const struct order_change *wanted, char *why, size_t why_size);

/* Takes in what has happened. Whether a change has come to its end: stage->change.status tells how, .text in words. */
bool stage_look(struct stage *stage);

/* The first address of that kind (SOCK_STREAM, SOCK_DGRAM); NULL: none. */
const struct sb_address *stage_address(const struct stage *stage, int socktype);

/* Ends it in order, or after three seconds at once. Accepts what was never started. */
void stage_stop(struct stage *stage);

#endif
