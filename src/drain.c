#include "drain.h"

#include <sys/param.h>

#include "ground/clock.h"

#define HURRY_MS 50

int sb_drain_ms(const struct sb_server *server)
{
    if (sb_signals_hurrying(&server->signals))
        return 0;
    bool unlimited = sb_signals_retiring(&server->signals) || sb_signals_patient(&server->signals);
    return unlimited ? -1 : server->config.drain_timeout_ms;
}

int64_t sb_drain_deadline_ns(struct sb_server *server)
{
    _Atomic int64_t *deadline_ns = &server->signals.drain_deadline_ns;
    if (sb_signals_hurrying(&server->signals))
        return 0;
    if (atomic_load(deadline_ns) == 0)
        atomic_store(deadline_ns, sb_deadline_ns(sb_signals_patient(&server->signals) ? -1
                                                 : server->config.drain_timeout_ms));
    return atomic_load(deadline_ns);
}

void sb_drain_announce(const struct sb_server *server, unsigned left)
{
    int timeout_ms = sb_drain_ms(server);
    if (timeout_ms > 0)
        sb_server_log(server, SB_LOG_INFO, "waiting up to %g s for %u open request%s", timeout_ms / 1000.0, left,
                      left == 1 ? "" : "s");
}

const char *sb_drain_reason(const struct sb_server *server)
{
    return sb_signals_hurrying(&server->signals) ? "told to end at once" : "the drain deadline has passed";
}

void sb_drain_log_cut(const struct sb_server *server, unsigned left)
{
    sb_server_log(server, SB_LOG_WARNING, "%s: cutting off %u request%s", sb_drain_reason(server), left,
                  left == 1 ? "" : "s");
}

void sb_cut(struct sb_server *server)
{
    sb_wakeup_set(&server->signals.cut);
    sb_books_cut(&server->books);
}

/* A signal handler can wake nobody who waits on a condition, so the wait looks up now and then. */
static unsigned wait_for_requests(struct sb_server *server, int timeout_ms)
{
    int64_t deadline_ns = sb_deadline_ns(timeout_ms);
    unsigned left;
    do
        left = sb_books_wait(&server->books, MIN(deadline_ns, sb_deadline_ns(HURRY_MS)));
    while (left > 0 && sb_now_ns() < deadline_ns && !sb_signals_hurrying(&server->signals));
    return left;
}

void sb_drain(struct sb_server *server)
{
    int timeout_ms = sb_drain_ms(server);
    unsigned left = wait_for_requests(server, timeout_ms >= 0 ? MIN(timeout_ms, QUIET_DRAIN_MS) : QUIET_DRAIN_MS);
    if (left > 0 && (timeout_ms < 0 || timeout_ms > QUIET_DRAIN_MS)) {
        sb_drain_announce(server, left);
        left = wait_for_requests(server, timeout_ms < 0 ? -1 : timeout_ms - QUIET_DRAIN_MS);
    }
    if (left == 0)
        return;
    sb_drain_log_cut(server, left);
    sb_cut(server);
    left = sb_books_wait(&server->books, sb_deadline_ns(CUT_GRACE_MS));
    if (left > 0)
        sb_server_log(server, SB_LOG_ERROR, "%u request%s cannot be interrupted and %s left behind", left,
                      left == 1 ? "" : "s", left == 1 ? "is" : "are");
}
