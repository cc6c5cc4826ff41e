/* What fails now and may work again: because descriptors, memory, threads or processes have run out, or for a reason of
 * the system's own. It is said once when it begins, and once when it is over; meanwhile it is tried again. Private. */
#ifndef SHORTAGE_H
#define SHORTAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include "ground/log.h"

/* How long until what failed for want of something is tried again. */
#define SB_SHORTAGE_PAUSE_MS 100

struct sb_shortage {
    atomic_int error;           /* -errno while it lasts, else 0 */
    atomic_llong failed_ns;     /* when it has failed last */
};

/* Whether an error (-errno) says that something has run out which may be there again: threads and processes with EAGAIN
 * (pthread_create(3), fork(2)). */
bool sb_is_shortage(int error);

/* Any thread. begins: `what` happened because of `error`. ends: it works again. eases: something has worked, which is
 * the end when nothing has failed for half a pause. */
void sb_shortage_begins(struct sb_shortage *shortage, const struct sb_log *log, const char *what, int error);
void sb_shortage_ends(struct sb_shortage *shortage, const struct sb_log *log);
void sb_shortage_eases(struct sb_shortage *shortage, const struct sb_log *log);

static inline bool sb_shortage_lasts(const struct sb_shortage *shortage)
{
    return atomic_load_explicit(&shortage->error, memory_order_relaxed) != 0;
}

#endif
