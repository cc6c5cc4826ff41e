#include "clock.h"

#include <errno.h>
#include <time.h>

static int64_t read_clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

int64_t sb_now_ns(void)
{
    return read_clock_ns(CLOCK_MONOTONIC);
}

int64_t sb_coarse_now_ns(void)
{
    return read_clock_ns(CLOCK_MONOTONIC_COARSE);
}

int64_t sb_deadline_ns(int timeout_ms)
{
    return timeout_ms < 0 ? NEVER : sb_now_ns() + timeout_ms * INT64_C(1000000);
}

void sb_nap(int milliseconds)
{
    int saved = errno;
    struct timespec time = { .tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000L };
    nanosleep(&time, NULL);
    errno = saved;
}

int sb_remaining_ms(int64_t deadline_ns)
{
    if (deadline_ns == NEVER)
        return -1;
    int64_t left_ns = deadline_ns - sb_now_ns();
    if (left_ns <= 0)
        return 0;
    int64_t left_ms = (left_ns + 999999) / 1000000;
    return left_ms > 1000000000 ? 1000000000 : (int)left_ms;
}
