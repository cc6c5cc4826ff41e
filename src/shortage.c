#include "shortage.h"

#include <errno.h>
#include <string.h>

#include "ground/clock.h"

/* What works in between while the next attempt fails again is no end. */
#define FLAPS_NS (SB_SHORTAGE_PAUSE_MS / 2 * INT64_C(1000000))

bool sb_is_shortage(int error)
{
    return error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM || error == -EAGAIN;
}

void sb_shortage_begins(struct sb_shortage *shortage, const struct sb_log *log, const char *what, int error)
{
    atomic_store(&shortage->failed_ns, sb_now_ns());
    if (atomic_exchange(&shortage->error, error) == 0)
        sb_log_line(log, SB_LOG_ERROR, "%s: %s; trying again until it can%s", what, strerror(-error),
                    sb_is_shortage(error) ? " (limits: ulimit -n, ulimit -u)" : "");
}

void sb_shortage_eases(struct sb_shortage *shortage, const struct sb_log *log)
{
    if (sb_shortage_lasts(shortage) && atomic_load(&shortage->failed_ns) + FLAPS_NS < sb_now_ns())
        sb_shortage_ends(shortage, log);
}

void sb_shortage_ends(struct sb_shortage *shortage, const struct sb_log *log)
{
    int error = sb_shortage_lasts(shortage) ? atomic_exchange(&shortage->error, 0) : 0;
    if (error != 0)
        sb_log_line(log, SB_LOG_INFO, "%s", sb_is_shortage(error) ? "the shortage is over, accepting again"
                                                                  : "accepting again");
}
