/* What a run is to be: which server, which load. */
#include "play.h"

#include <stdio.h>
#include <string.h>
#include <sys/param.h>

#define POISON "segfault\n"
#define POISON_EACH 100
#define DRIP_MS 100

/* Once no more requests begin, where the others are not waited for. */
#define CUT_NS UINT64_C(500000000)

/* Of a recorded run. */
#define TIMELINE_CALLS 80
#define TIMELINE_CALLS_MAX 256
#define TIMELINE_POISON_EACH 20
#define TIMELINE_EVENTS "65536"
#define TIMELINE_NS UINT64_C(1000000000)

static unsigned slow_clients(const struct scenario *scenario, unsigned workers)
{
    return scenario->slow_crew ? workers : 0;
}

unsigned match_clients(const struct scenario *scenario, const struct match_options *options, unsigned workers)
{
    return (options->clients > 0 ? options->clients : scenario->clients) + slow_clients(scenario, workers);
}

void plan_subject(const struct play *play, const struct contestant *contestant, struct subject_plan *plan)
{
    const struct scenario *scenario = play->match->scenario;
    const struct machine *machine = &play->comparison->machine;
    static char connections[48], children[48];
    unsigned n = 0;
    *plan = (struct subject_plan){
        .program = play->options->program, .handler = play->match->handler, .strategy = contestant->strategy,
        .discipline = contestant->discipline[0] ? contestant->discipline : NULL,
        .address = strcmp(scenario->family, "udp") == 0 ? "udp://127.0.0.1:0" : "tcp://127.0.0.1:0",
        .cpus = scenario->all_cpus ? machine->all_cpus : machine->server_cpus,
    };
    /* Each worker of prefork has its share of these, and may get more callers than that. */
    unsigned room = MAX(1000, 2 * play->match->clients);
    snprintf(connections, sizeof connections, "--max-connections=%u", room);
    snprintf(children, sizeof children, "--max-children=%u", room);
    plan->arguments[n++] = connections;
    plan->arguments[n++] = children;
    for (unsigned i = 0; i < 4 && scenario->arguments[i]; i++)
        plan->arguments[n++] = scenario->arguments[i];
    if (play->options->force)
        plan->arguments[n++] = "--force";
    for (unsigned i = 0; !scenario->handler && play->options->options[i]; i++) {
        plan->arguments[n++] = "-o";
        plan->arguments[n++] = play->options->options[i];
    }
}

uint64_t plan_need(const struct match *match)
{
    const struct scenario *scenario = match->scenario;
    unsigned callers = match->clients - slow_clients(scenario, match->workers);
    return scenario->need.least > 0 ? scenario->need.least : (uint64_t)MAX(scenario->requests_each, 1) * callers;
}

static void plan_load(const struct play *play, struct load_plan *load)
{
    const struct scenario *scenario = play->match->scenario;
    uint64_t limit_ns = play->options->limit_s * 1e9;
    *load = (struct load_plan){
        .talk = scenario->talk, .hold = scenario->stays,
        .clients = play->match->clients, .slow = slow_clients(scenario, play->match->workers), .drip_ms = DRIP_MS,
        .duration_ns = scenario->requests_each == 0 ? play->options->seconds * 1e9 : 0,
        .limit_ns = limit_ns, .patience_ns = limit_ns, .grace_ns = scenario->cut ? MIN(CUT_NS, limit_ns) : limit_ns,
        .in_vain = scenario->in_vain,
        .dialogue = play->dialogue,
        .cpu = scenario->all_cpus ? -1 : play->comparison->machine.load_cpu,
    };
    load->count = (uint64_t)scenario->requests_each * (load->clients - load->slow);
    if (scenario->requests_each == 0)
        load->least_ended = play->match->needed;
    if (scenario->poisoned) {
        load->least_poisoned = play->match->needed;
        load->poison = POISON;
        load->poison_each = POISON_EACH;
    }
}

void plan_run(const struct play *play, const struct contestant *contestant, struct run_plan *plan)
{
    memset(plan, 0, sizeof *plan);
    plan_subject(play, contestant, &plan->subject);
    plan_load(play, &plan->load);
}

/* A run that is recorded ends when there is enough for a picture. */
void plan_recording(const struct play *play, const struct contestant *contestant, struct run_plan *plan)
{
    unsigned n = 0;
    plan_run(play, contestant, plan);
    while (plan->subject.arguments[n])
        n++;
    plan->subject.arguments[n] = "--trace=" TIMELINE_EVENTS;
    plan->load.calls_room = plan->load.count > 0 ? MIN(plan->load.count, TIMELINE_CALLS_MAX) : TIMELINE_CALLS;
    plan->load.count = plan->load.calls_room;
    plan->load.least_ended = plan->load.least_poisoned = 0;
    if (plan->load.duration_ns > 0)
        plan->load.duration_ns = MIN(plan->load.duration_ns, TIMELINE_NS);
    plan->load.poison_each = TIMELINE_POISON_EACH;
}
