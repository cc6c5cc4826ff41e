/* A descriptor that wakes every sleeper: written once, never read while it counts, so it stays readable in every thread
 * and, inherited, in every child. Private. */
#ifndef WAKEUP_H
#define WAKEUP_H

#include <stdbool.h>

struct sb_wakeup {
    int fd;     /* eventfd(2), readable once set; -1: not made */
};

/* flags: EFD_SEMAPHORE where each clear should undo one set, else 0. */
int sb_wakeup_init(struct sb_wakeup *wakeup, int flags);
void sb_wakeup_finish(struct sb_wakeup *wakeup);

/* Async-signal-safe; keeps errno. */
void sb_wakeup_set(const struct sb_wakeup *wakeup);

/* Whether it was set. */
bool sb_wakeup_clear(const struct sb_wakeup *wakeup);

#endif
