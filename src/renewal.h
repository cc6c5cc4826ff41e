/* What a supervisor knows; and how the next program has it, when the file is run anew. Private. */
#ifndef RENEWAL_H
#define RENEWAL_H

#include <stdatomic.h>
#include "ground/wakeup.h"
#include "member.h"

struct sb_supervisor {
    struct sb_supervision config;
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

/* Whether a program before this one has left something in the environment; and whether that is only to see if this one
 * can take it over. */
bool sb_supervisor_is_renewed(void);
bool sb_supervisor_is_tried(void);

/* Reads that. Its members are not watched yet. -EPROTO: this program cannot read it, or one of the scoreboards; or
 * -errno, and it may be tried again once what was read is forgotten. In the end it is taken over: nothing is left there
 * for another program. */
int sb_supervisor_read(struct sb_supervisor *supervisor);
void sb_supervisor_unread(struct sb_supervisor *supervisor);
void sb_supervisor_take_over(struct sb_supervisor *supervisor);

#endif
