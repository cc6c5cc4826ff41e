/* How the end travels: the descriptors and flags that end loops, requests and workers. Private. */
#ifndef SIGNALS_H
#define SIGNALS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "ground/wakeup.h"

enum { SB_STOPPING = 1, SB_HURRYING = 2, SB_PATIENT = 4 };

struct sb_signals {
    uint32_t *stopping;         /* in memory that all processes share: the bits above */
    struct sb_wakeup stop;      /* ends the loops of all processes */
    struct sb_wakeup cut;       /* ends what still waits when the drain is over */
    struct sb_wakeup retire;    /* this process: ends its loops after max_requests; -1 elsewhere */
    struct sb_wakeup notice;    /* prefork: a worker retires while it still has requests; -1 elsewhere */
    atomic_int accepts_left;    /* if `retire` is made: until it is set */
    _Atomic int64_t drain_deadline_ns;  /* of requests in loops that must end; 0: not yet settled (drain.h) */
};

/* init: nothing is made yet, which finish accepts. open: makes stop and cut; -EMFILE and the like. */
void sb_signals_init(struct sb_signals *signals);
int sb_signals_open(struct sb_signals *signals, uint32_t *stopping);
void sb_signals_finish(struct sb_signals *signals);

/* Asks all loops to end. Async-signal-safe. clear: once they have. */
void sb_signals_stop(const struct sb_signals *signals);
void sb_signals_clear(const struct sb_signals *signals);

/* Has all requests of all processes cut off without a drain; or lets them take as long as they need, before a stop.
 * Async-signal-safe. reset: before the next serving, with `cut`. */
void sb_signals_hurry(const struct sb_signals *signals);
void sb_signals_be_patient(const struct sb_signals *signals);
void sb_signals_reset(struct sb_signals *signals);

static inline bool sb_signals_hurrying(const struct sb_signals *signals)
{
    return __atomic_load_n(signals->stopping, __ATOMIC_ACQUIRE) & SB_HURRYING;
}

static inline bool sb_signals_patient(const struct sb_signals *signals)
{
    return __atomic_load_n(signals->stopping, __ATOMIC_ACQUIRE) & SB_PATIENT;
}

/* The descriptor of stop was readable. Who stops sets the flag and then the descriptor, and a loop that has seen only
 * the first may have ended serving before the second: what is left of that is taken back. */
void sb_signals_recheck(const struct sb_signals *signals);

static inline bool sb_signals_stopping(const struct sb_signals *signals)
{
    return __atomic_load_n(signals->stopping, __ATOMIC_ACQUIRE) & SB_STOPPING;
}

/* A worker that will have had its max_requests: `retire` is set after so many. */
int sb_signals_expect_retirement(struct sb_signals *signals, int accepts);

/* A worker that has had its max_requests. */
static inline bool sb_signals_retiring(const struct sb_signals *signals)
{
    return signals->retire.fd >= 0 && atomic_load_explicit(&signals->accepts_left, memory_order_relaxed) <= 0;
}

/* One more request was taken; whether it is the last before the retirement, which has now begun. */
static inline bool sb_signals_count(struct sb_signals *signals)
{
    return signals->retire.fd >= 0 && atomic_fetch_sub(&signals->accepts_left, 1) == 1;
}

#endif
