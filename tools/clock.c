#include "clock.h"

#include <limits.h>

#define SECOND_NS UINT64_C(1000000000)
#define MS_NS     UINT64_C(1000000)

uint64_t clock_of_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

uint64_t clock_ns(void)
{
    return clock_of_ns(CLOCK_MONOTONIC);
}

uint64_t clock_in_ms(unsigned ms)
{
    return clock_ns() + ms * MS_NS;
}

int clock_left_ms(uint64_t then_ns)
{
    uint64_t now_ns = clock_ns(), left_ms = then_ns > now_ns ? (then_ns - now_ns - 1) / MS_NS + 1 : 0;
    return left_ms < INT_MAX ? (int)left_ms : INT_MAX;
}

void clock_wait_until(uint64_t then_ns, int *timeout_ms)
{
    int left_ms = clock_left_ms(then_ns);
    if (*timeout_ms < 0 || left_ms < *timeout_ms)
        *timeout_ms = left_ms;
}
