#include "ready.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "generation.h"

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

static unsigned sockets_of(const struct sb_listener *listener, int *fds)
{
    unsigned count = 0;
    for (unsigned i = 0; i < (listener->fds ? listener->server->crew.loops : 1); i++) {
        fds[count] = listener->fds ? listener->fds[i] : listener->fd;
        count += fds[count] >= 0;
    }
    return count;
}

static int tell_listener(struct sb_generation *generation, struct sb_listener *listener)
{
    int *fds = malloc(listener->server->crew.loops * sizeof *fds);
    if (!fds)
        return -ENOMEM;
    int r = sb_generation_tell_listener(generation, listener->call, listener->text, fds, sockets_of(listener, fds));
    free(fds);
    if (r < 0)
        return r;
    /* The file is now the supervisor's to remove. */
    free(listener->unlink_path);
    listener->unlink_path = NULL;
    return 0;
}

/* One that its supervisor does not know all of has no successor, so it does not serve. */
static void tell_supervisor(struct sb_server *server, struct sb_generation *generation)
{
    int r = 0;
    for (unsigned i = 0; r == 0 && i < server->n_listeners; i++)
        r = tell_listener(generation, server->listeners[i]);
    sb_held_finish(generation->held);
    if (r == 0)
        r = sb_generation_tell_ready(generation, sb_server_strategy(server), sb_server_handler_name(server),
                                     server->crew.board_fd);
    if (r == 0)
        return;
    sb_server_log(server, SB_LOG_ERROR, "cannot tell the supervisor that it is ready: %s", strerror(-r));
    sb_signals_hurry(&server->signals);
    sb_signals_stop(&server->signals);
}

void sb_ready_tell(struct sb_server *server)
{
    struct sb_generation *generation = server->config.generation;
    if (!sb_is_ready(server) || atomic_exchange(&server->told_ready, true))
        return;
    if (generation && !generation->told)
        tell_supervisor(server, generation);
    if (server->config.ready)
        server->config.ready(server->config.data);
}
