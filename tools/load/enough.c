#include "enough.h"

#include <sys/param.h>

#define LAST_NS 500000000       /* once the limit is over, for the last answers */

/* Looks that found the server at rest until it is believed. The kernel calls again after 1, 2, 4 and 8 s when a backlog
 * was full, and till then both sides sleep. */
#define RESTS 5
#define RESTS_WHILE_CALLING 100

void enough_hear(struct run *run, const struct client *client)
{
    struct load_server *server = run->plan->server;
    if (server && !client->slow)
        __atomic_store_n(&server->rests, 0, __ATOMIC_RELEASE);
}

static bool is_calling(const struct run *run)
{
    for (unsigned i = 0; i < run->plan->clients; i++)
        if (run->clients[i].busy && !run->clients[i].up)
            return true;
    return false;
}

/* Nobody will have an answer any more: it sleeps for longer than anybody has waited for an answer yet. */
static bool is_at_rest(const struct run *run)
{
    const struct load_server *server = run->plan->server;
    unsigned rests = server ? __atomic_load_n(&server->rests, __ATOMIC_ACQUIRE) : 0;
    return rests >= RESTS && rests * UINT64_C(1000000) * LOAD_LOOK_MS >= 2 * run->result->latency.max_ns &&
           (rests >= RESTS_WHILE_CALLING || !is_calling(run));
}

static bool has_seen_enough(const struct run *run)
{
    const struct load_result *result = run->result;
    return result->answered + load_errors(result) >= run->plan->least_ended &&
           result->poisoned >= run->plan->least_poisoned;
}

/* Beyond its count and its time. */
static bool goes_on(const struct run *run)
{
    const struct load_plan *plan = run->plan;
    bool gone = plan->server && __atomic_load_n(&plan->server->gone, __ATOMIC_ACQUIRE);
    return !has_seen_enough(run) && !gone && !(plan->in_vain && is_at_rest(run));
}

/* Poison does not count, but where there is nothing else. */
static bool has_begun_all(const struct run *run)
{
    const struct load_plan *plan = run->plan;
    uint64_t begun = plan->poison && plan->poison_each == 1 ? run->begun : run->result->begun;
    return plan->count > 0 && begun >= plan->count;
}

void enough_look(struct run *run, uint64_t now_ns)
{
    bool time_is_over = now_ns >= run->end_ns;
    run->result->lingers |= time_is_over || has_begun_all(run);
    if (time_is_over && run->closed_ns == 0 && now_ns < run->limit_ns && goes_on(run))
        run->end_ns = MIN(now_ns + RUN_TICK_NS, run->limit_ns);
}

bool enough_is_begun(const struct run *run)
{
    return has_begun_all(run) && !goes_on(run);
}

uint64_t enough_last_ns(const struct run *run)
{
    uint64_t last_ns = run->closed_ns + run->plan->grace_ns;
    if (run->limit_ns == UINT64_MAX)
        return last_ns;
    return MIN(last_ns, MAX(run->closed_ns, run->limit_ns) + LAST_NS);
}

bool enough_is_waited(const struct run *run, uint64_t now_ns)
{
    return now_ns >= enough_last_ns(run) || is_at_rest(run);
}
