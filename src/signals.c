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
    __atomic_fetch_or(signals->stopping, SB_STOPPING, __ATOMIC_RELEASE);
    sb_wakeup_set(&signals->stop);
}

void sb_signals_clear(const struct sb_signals *signals)
{
    sb_wakeup_clear(&signals->stop);
    __atomic_fetch_and(signals->stopping, ~(uint32_t)SB_STOPPING, __ATOMIC_RELEASE);
}

void sb_signals_hurry(const struct sb_signals *signals)
{
    __atomic_fetch_or(signals->stopping, SB_HURRYING, __ATOMIC_RELEASE);
    sb_wakeup_set(&signals->cut);
}

void sb_signals_be_patient(const struct sb_signals *signals)
{
    __atomic_fetch_or(signals->stopping, SB_PATIENT, __ATOMIC_RELEASE);
}

void sb_signals_reset(struct sb_signals *signals)
{
    atomic_store(&signals->drain_deadline_ns, 0);
    sb_wakeup_clear(&signals->cut);
    __atomic_fetch_and(signals->stopping, ~(uint32_t)(SB_HURRYING | SB_PATIENT), __ATOMIC_RELEASE);
}

int sb_signals_expect_retirement(struct sb_signals *signals, int accepts)
{
    atomic_store(&signals->accepts_left, accepts);
    return sb_wakeup_init(&signals->retire, 0);
}

void sb_signals_recheck(const struct sb_signals *signals)
{
    if (sb_signals_stopping(signals))
        return;
    sb_wakeup_clear(&signals->stop);
    if (sb_signals_stopping(signals))
        sb_wakeup_set(&signals->stop);
}
