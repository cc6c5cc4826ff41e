/* A generation's end of the talk with its supervisor (switchboard/generation.h): what it has inherited, and what it
 * tells. A packet is words with a NUL behind each:
 *
 *     listener CALL REQUESTED BOUND, with the sockets      one for each address, or several
 *     ready STRATEGY HANDLER, with the scoreboard
 *     refused WHY
 *
 * Knows nothing of servers. Private. */
#ifndef GENERATION_H
#define GENERATION_H

#include <signal.h>
#include <switchboard/generation.h>
#include "ground/log.h"
#include "held.h"

#define SB_TOLD_MAX 8192        /* bytes of a packet */
#define SB_TOLD_WORDS 4

enum sb_asked { SB_ASKED_NOTHING, SB_ASKED_STOP, SB_ASKED_STOP_NOW };

struct sb_generation {
    unsigned number;
    pid_t supervisor;
    int channel;                        /* SOCK_SEQPACKET; -1: closed */
    struct sb_held_list *held;          /* the predecessor's sockets that it has not taken over */
    unsigned calls;                     /* addresses asked for */
    char **requested;                   /* which, an entry for each call */
    bool told;                          /* that it is ready */
    volatile sig_atomic_t asked;        /* enum sb_asked, in a signal handler, before there was a server */
    struct sb_log log;                  /* where its server's lines go */
};

void sb_generation_finish(struct sb_generation *generation);

/* Lets it hear what a server logs: an error before it is ready is the reason why it will not serve. */
void sb_generation_overhear(struct sb_generation *generation, struct sb_log *log);

/* One more address that its server asks for: its number, or -ENOMEM. */
int sb_generation_call(struct sb_generation *generation, const char *requested);

/* Ends with its supervisor: before it serves, because what it was told first ends with a change of user (prctl(2)). */
void sb_generation_follow(const struct sb_generation *generation);

/* 0, or -errno: nobody listens. The descriptors stay the caller's. */
int sb_generation_tell_listener(struct sb_generation *generation, unsigned call, const char *bound, const int *fds,
                                unsigned count);
int sb_generation_tell_ready(struct sb_generation *generation, const char *strategy, const char *handler, int board_fd);

#endif
