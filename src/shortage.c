#include "shortage.h"

#include <errno.h>
#include <string.h>

bool sb_is_shortage(int error)
{
    return error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM;
}

void sb_shortage_begins(struct sb_shortage *shortage, const struct sb_log *log, const char *what, int error)
{
    if (!atomic_exchange(&shortage->lasts, true))
        sb_log_line(log, SB_LOG_ERROR, "%s: %s; trying again until it can (limits: ulimit -n, ulimit -u)", what,
                    strerror(-error));
}

void sb_shortage_ends(struct sb_shortage *shortage, const struct sb_log *log)
{
    if (sb_shortage_lasts(shortage) && atomic_exchange(&shortage->lasts, false))
        sb_log_line(log, SB_LOG_INFO, "the shortage is over, accepting again");
}
