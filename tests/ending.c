/* How the end travels: a stop is what the flag says, and the descriptor only wakes. */
#include "suite.h"

#include <poll.h>

#include "../src/signals.h"

TestSuite(ending, .timeout = 600);

static bool is_readable(const struct sb_signals *signals)
{
    struct pollfd stop = { .fd = signals->stop.fd, .events = POLLIN };
    return poll(&stop, 1, 0) == 1;
}

Test(ending, what_a_stop_has_left_for_the_next_serving_is_taken_back)
{
    struct sb_signals signals;
    uint32_t stopping = 0;
    sb_signals_init(&signals);
    cr_assert_eq(sb_signals_open(&signals, &stopping), 0);
    sb_wakeup_set(&signals.stop);       /* the second half of a stop, which came after the serving had ended */
    cr_assert(!sb_signals_stopping(&signals));
    cr_assert(is_readable(&signals));
    sb_signals_recheck(&signals);
    cr_assert(!is_readable(&signals));
    sb_signals_finish(&signals);
}

Test(ending, a_stop_stays_one_however_often_it_is_looked_at)
{
    struct sb_signals signals;
    uint32_t stopping = 0;
    sb_signals_init(&signals);
    cr_assert_eq(sb_signals_open(&signals, &stopping), 0);
    sb_signals_stop(&signals);
    for (int i = 0; i < 3; i++) {
        sb_signals_recheck(&signals);
        cr_assert(sb_signals_stopping(&signals));
        cr_assert(is_readable(&signals));
    }
    sb_signals_clear(&signals);
    cr_assert(!sb_signals_stopping(&signals));
    cr_assert(!is_readable(&signals));
    sb_signals_finish(&signals);
}
