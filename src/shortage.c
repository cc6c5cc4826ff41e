#include "shortage.h"

#include <errno.h>
#include <string.h>

bool sb_is_shortage(int error)
{
    return error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM || error == -EAGAIN;
}

void sb_shortage_begins(struct sb_shortage *shortage, const struct sb_log *log, const char *what, int error)
{
    if (atomic_exchange(&shortage->error, error) == 0)
        sb_log_line(log, SB_LOG_ERROR, "%s: %s; trying again until it can%s", what, strerror(-error),
                    sb_is_shortage(error) ? " (limits: ulimit -n, ulimit -u)" : "");
}

void sb_shortage_ends(struct sb_shortage *shortage, const struct sb_log *log)
{
    int error = sb_shortage_lasts(shortage) ? atomic_exchange(&shortage->error, 0) : 0;
    if (error != 0)
        sb_log_line(log, SB_LOG_INFO, "%s", sb_is_shortage(error) ? "the shortage is over, accepting again"
                                                                  : "accepting again");
}
