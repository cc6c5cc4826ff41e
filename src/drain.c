#include "drain.h"

#include <sys/param.h>

#include "ground/clock.h"

int sb_drain_ms(const struct sb_server *server)
{
    return sb_signals_retiring(&server->signals) ? -1 : server->config.drain_timeout_ms;
}

int64_t sb_drain_deadline_ns(struct sb_server *server)
{
    _Atomic int64_t *deadline_ns = &server->signals.drain_deadline_ns;
    if (atomic_load(deadline_ns) == 0)
        atomic_store(deadline_ns, sb_deadline_ns(server->config.drain_timeout_ms));
    return atomic_load(deadline_ns);
}

void sb_drain_reset(struct sb_server *server)
{
    atomic_store(&server->signals.drain_deadline_ns, 0);
    sb_wakeup_clear(&server->signals.cut);
}

void sb_drain_announce(const struct sb_server *server, unsigned left)
{
    int timeout_ms = sb_drain_ms(server);
    if (timeout_ms > 0)
        sb_server_log(server, SB_LOG_INFO, "waiting up to %g s for %u open request%s", timeout_ms / 1000.0, left,
                      left == 1 ? "" : "s");
}

void sb_drain_log_cut(const struct sb_server *server, unsigned left)
{
    sb_server_log(server, SB_LOG_WARNING, "the drain deadline has passed: cutting off %u request%s", left,
                  left == 1 ? "" : "s");
}

void sb_cut(struct sb_server *server)
{
    sb_wakeup_set(&server->signals.cut);
    sb_books_cut(&server->books);
}

static unsigned wait_for_requests(struct sb_server *server, int timeout_ms)
{
    return sb_books_wait(&server->books, sb_deadline_ns(timeout_ms));
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
    left = wait_for_requests(server, CUT_GRACE_MS);
    if (left > 0)
        sb_server_log(server, SB_LOG_ERROR, "%u request%s cannot be interrupted and %s left behind", left,
                      left == 1 ? "" : "s", left == 1 ? "is" : "are");
}
