/* What a supervisor knows; and how the next program has it, when the file is run anew. Private. */
#ifndef RENEWAL_H
#define RENEWAL_H

#include <stdatomic.h>
#include "ground/wakeup.h"
#include "member.h"

struct sb_supervisor {
    struct sb_supervision config;
    pid_t pid;
    int epoll_fd, timer_fd;
    struct sb_wakeup wakeup;                /* of what is asked for, below */
    atomic_bool reload, stop, stop_now;
    struct sb_ledger_book ledger;
    struct sb_member members[SB_GENERATIONS_MAX];
    unsigned last_number;
    struct sb_member *serving;              /* NULL: none yet, or it has died */
    struct sb_member *next;                 /* starts, or is ready and not yet trusted; NULL: none */
    struct sb_member *former;               /* was asked to retire, and accepts still; NULL: none */
    struct sb_held_list sockets;            /* of the one that serves */
    void *wish;                             /* the last that served */
    char *note;                             /* of the program before this one, which it has taken over from; or NULL */
    bool ending;
    int status;                             /* of the last that served, once it has ended */
    int pause_ms;                           /* the last one before a restart; 0: none was needed lately */
    int64_t restart_ns;                     /* NEVER: none is due */
    struct sb_generation *generation;       /* in a generation: itself */
};

static inline bool sb_supervisor_changes(const struct sb_supervisor *supervisor)
{
    return supervisor->next || supervisor->former;
}

/* Takes over what a program before this one has left in the environment, if it has: 1, 0: nothing, or -errno. Its
 * members are not watched yet. */
int sb_supervisor_restore(struct sb_supervisor *supervisor);

#endif
