#include "wakeup.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Somebody sleeps on for ever who is not woken. A counter that is full is as good: the descriptor is readable. */
#define TRIES 3

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
    int tries = 0;
    while (write(wakeup->fd, &one, sizeof one) < 0 && ++tries < TRIES)
        ;
    errno = saved;
}

bool sb_wakeup_clear(const struct sb_wakeup *wakeup)
{
    uint64_t count;
    return read(wakeup->fd, &count, sizeof count) > 0;
}
