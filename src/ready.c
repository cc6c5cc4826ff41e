#include "ready.h"

void sb_ready_reset(struct sb_server *server)
{
    __atomic_store_n(&server->crew.board->ready, 0, __ATOMIC_RELEASE);
    atomic_store(&server->told_ready, false);
}

void sb_ready_here(struct sb_server *server)
{
    if (sb_is_ready(server) || __atomic_exchange_n(&server->crew.board->ready, 1, __ATOMIC_ACQ_REL))
        return;
    if (server->crew.process_slot)
        sb_wakeup_set(&server->signals.notice);
    else
        sb_ready_tell(server);
}

void sb_ready_tell(struct sb_server *server)
{
    if (server->config.ready && sb_is_ready(server) && !atomic_exchange(&server->told_ready, true))
        server->config.ready(server->config.data);
}
