/* The monotonic clock, as deadlines and as poll(2)'s milliseconds. Private. */
#ifndef GROUND_CLOCK_H
#define GROUND_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* A deadline that is never reached. */
#define NEVER INT64_MAX

int64_t sb_now_ns(void);                            /* CLOCK_MONOTONIC */
int64_t sb_coarse_now_ns(void);                     /* CLOCK_MONOTONIC_COARSE: some milliseconds late, but cheap */
int64_t sb_deadline_ns(int timeout_ms);             /* from now; NEVER for -1 */
void sb_nap(int milliseconds);                      /* sleeps, at most so long; errno stays */
int sb_remaining_ms(int64_t deadline_ns);           /* for poll(2): rounded up, -1 for NEVER */

/* What fails at once must not be asked again at once for ever: counts a retry, and says whether it is one of so many in
 * a row that it has to wait first, for SB_TIRED_MS. */
enum { SB_TIRED_MS = 20 };
static inline bool sb_tires(unsigned *retries)
{
    return ++*retries > 64;
}

#endif
