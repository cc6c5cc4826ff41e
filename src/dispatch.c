#include "dispatch.h"

#include <unistd.h>

static void count_accept(struct sb_server *server)
{
    if (!sb_signals_count(&server->signals))
        return;
    sb_wakeup_set(&server->signals.retire);
    __atomic_store_n(&server->crew.process_slot->retired, 1, __ATOMIC_RELEASE);
    sb_wakeup_set(&server->signals.notice);
}

/* The loop that has taken it ends it, too, and waits for the next. */
static void turn_away(struct sb_request *request)
{
    sb_request_end(request);
    sb_slot_enter(sb_worker.slot, SB_WAITING);
}

int sb_dispatch(struct sb_gate *gate, struct sb_request *request)
{
    struct sb_server *server = gate->server;
    count_accept(server);
    sb_slot_accept(sb_worker.slot, &request->client);
    if (!methods(server)->verify_request(request)) {
        turn_away(request);
        return 0;
    }
    request->phase = "process_request";
    int r = methods(server)->process_request(request);
    if (r == 0)
        sb_shortage_eases(&server->shortage, &server->log);
    if (r >= 0)
        return 0;
    if (!sb_shortage_lasts(&server->shortage))
        methods(server)->handle_error(request, r);
    sb_shortage_begins(&server->shortage, &server->log, "cannot start a worker for a request", r);
    turn_away(request);
    return r;
}

static int work_at_gate(struct sb_server *server, int (*body)(struct sb_gate *gate))
{
    struct sb_gate gate;
    int r = sb_gate_open(&gate, server, SB_GATE_WORKER);
    if (r < 0)
        return r;
    sb_worker.in_loop = true;
    r = body(&gate);
    sb_worker.in_loop = false;
    sb_gate_close(&gate);
    return r;
}

int sb_work(struct sb_server *server, int (*body)(struct sb_gate *gate))
{
    struct sb_crew *crew = &server->crew;
    struct sb_slot *slot = sb_worker.slot ? NULL : sb_slot_claim(crew, &crew->slot_hint, sb_worker.index);
    if (slot)
        sb_slot_occupy(crew, slot, gettid());
    int r = work_at_gate(server, body);
    if (slot) {
        sb_slot_release(crew, &crew->slot_hint, slot, SB_FREE);
        sb_worker.slot = NULL;
    }
    return r;
}
