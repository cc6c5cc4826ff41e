/* The clock that never goes back (CLOCK_MONOTONIC), as a number of nanoseconds. */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>
#include <time.h>

uint64_t clock_ns(void);

/* The same of another clock, such as CLOCK_THREAD_CPUTIME_ID. */
uint64_t clock_of_ns(clockid_t clock);

/* The time that it will be in `ms` milliseconds. */
uint64_t clock_in_ms(unsigned ms);

/* How long poll(2) may wait until then, in milliseconds, rounded up; 0: it has come. */
int clock_left_ms(uint64_t then_ns);

/* Lowers a timeout of poll(2), whose -1 is none, to how long it is until then. */
void clock_wait_until(uint64_t then_ns, int *timeout_ms);

#endif
