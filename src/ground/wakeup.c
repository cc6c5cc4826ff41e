#include "wakeup.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

int sb_wakeup_init(struct sb_wakeup *wakeup, int flags)
{
    wakeup->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | flags);
    return wakeup->fd < 0 ? -errno : 0;
}

void sb_wakeup_finish(struct sb_wakeup *wakeup)
{
    if (wakeup->fd >= 0)
        close(wakeup->fd);
    wakeup->fd = -1;
}

void sb_wakeup_set(const struct sb_wakeup *wakeup)
{
    int saved = errno;
    const uint64_t one = 1;
    if (write(wakeup->fd, &one, sizeof one) < 0) {
        /* EAGAIN: the counter is full, so the descriptor is readable, which is all we want. */
    }
    errno = saved;
}

void sb_wakeup_clear(const struct sb_wakeup *wakeup)
{
    uint64_t count;
    if (read(wakeup->fd, &count, sizeof count) < 0) {
        /* EAGAIN: it was not set. */
    }
}
