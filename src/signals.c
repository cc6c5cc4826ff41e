#include "signals.h"

void sb_signals_init(struct sb_signals *signals)
{
    signals->stop.fd = signals->cut.fd = signals->retire.fd = signals->notice.fd = -1;
}

int sb_signals_open(struct sb_signals *signals, uint32_t *stopping)
{
    signals->stopping = stopping;
    int r = sb_wakeup_init(&signals->stop, 0);
    return r < 0 ? r : sb_wakeup_init(&signals->cut, 0);
}

void sb_signals_finish(struct sb_signals *signals)
{
    sb_wakeup_finish(&signals->stop);
    sb_wakeup_finish(&signals->cut);
    sb_wakeup_finish(&signals->retire);
    sb_wakeup_finish(&signals->notice);
}

void sb_signals_stop(const struct sb_signals *signals)
{
    __atomic_store_n(signals->stopping, 1, __ATOMIC_RELEASE);
    sb_wakeup_set(&signals->stop);
}

void sb_signals_clear(const struct sb_signals *signals)
{
    sb_wakeup_clear(&signals->stop);
    __atomic_store_n(signals->stopping, 0, __ATOMIC_RELEASE);
}

int sb_signals_expect_retirement(struct sb_signals *signals, int accepts)
{
    atomic_store(&signals->accepts_left, accepts);
    return sb_wakeup_init(&signals->retire, 0);
}
