#include "pace.h"

#include "../clock.h"
#include "client.h"
#include "enough.h"

#define LATE_NS 1000000

static uint64_t due_ns(const struct run *run, uint64_t number)
{
    return run->start_ns + (uint64_t)((double)number * 1e9 / run->plan->rate);
}

uint64_t pace_next_ns(const struct run *run)
{
    const struct load_plan *plan = run->plan;
    if (run->closed_ns > 0 || enough_is_begun(run))
        return UINT64_MAX;
    uint64_t next_ns = plan->rate > 0 ? due_ns(run, run->begun) : run->start_ns;
    return next_ns < run->end_ns ? next_ns : UINT64_MAX;
}

/* In an open loop those that were due before the end begin a little after it too, if a client is free. */
bool pace_is_due(const struct run *run, uint64_t now_ns)
{
    return run_first(&run->free) && pace_next_ns(run) <= now_ns && (run->plan->rate > 0 || now_ns < run->end_ns);
}

static void begin(struct run *run, uint64_t now_ns)
{
    struct client *client = run_first(&run->free);
    uint64_t due = now_ns, free_ns = client->place.since_ns;
    if (run->plan->rate > 0) {
        due = due_ns(run, run->begun);
        run->result->late += now_ns > (due > free_ns ? due : free_ns) + LATE_NS;
    }
    client_begin(run, client, due, now_ns);
}

void pace_begin(struct run *run, unsigned most)
{
    for (; most > 0 && run_first(&run->free); most--) {
        uint64_t now_ns = clock_ns();
        if (!pace_is_due(run, now_ns))
            return;
        begin(run, now_ns);
    }
}

uint64_t pace_waiting(const struct run *run)
{
    const struct load_plan *plan = run->plan;
    if (plan->rate == 0 || plan->duration_ns == 0 || run->closed_ns == 0)
        return 0;
    uint64_t begun = run->result->begun, next_ns = due_ns(run, run->begun);
    if (next_ns >= run->end_ns)
        return 0;
    uint64_t waiting = (uint64_t)((double)(run->end_ns - next_ns - 1) * plan->rate / 1e9) + 1;
    return plan->count > 0 && begun + waiting > plan->count ? plan->count - begun : waiting;
}
