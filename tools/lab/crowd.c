#include "crowd.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define FOR_EVER_NS (UINT64_C(1000000) * 1000000000)
#define DRIP_MS 500

/* --- lots --------------------------------------------------------------------------------------------------------- */

static struct load_dialogue dialogue_of(const struct crowd_lot *lot)
{
    enum load_expects expects = !lot->question[0]                     ? LOAD_CAPITALS
                                : strcmp(lot->question, "add\n") == 0 ? LOAD_NUMBER
                                                                      : LOAD_LINE;
    return (
        struct load_dialogue){ .expects = expects, .question = lot->question, .question_size = strlen(lot->question) };
}

static struct crowd_lot *find_place(struct crowd *crowd, char *why, size_t why_size)
{
    for (unsigned i = 0; i < CROWD_LOTS_MAX; i++)
        if (crowd->lots[i].generator.pid == 0)
            return &crowd->lots[i];
    snprintf(why, why_size, "there are too many callers of that kind already: let them go first");
    return NULL;
}

/* plan: all but what is the same for all. question: without its newline. */
static bool send_lot(struct crowd *crowd, enum crowd_task task, struct load_plan plan, const char *question, char *why,
                     size_t why_size)
{
    struct crowd_lot *lot = find_place(crowd, why, why_size);
    if (!lot)
        return false;
    *lot = (struct crowd_lot){ .task = task };
    if (question[0])
        snprintf(lot->question, sizeof lot->question, "%s\n", question);
    plan.dialogue = dialogue_of(lot);
    plan.poison = task == CROWD_CRASH ? lot->question : NULL;
    plan.poison_each = task == CROWD_CRASH;
    plan.patience_ns = plan.grace_ns = CROWD_PATIENCE_S * UINT64_C(1000000000);
    plan.cpu = generator_choose_cpu();
    int r = generator_start(&lot->generator, &plan);
    if (r == 0)
        return true;
    snprintf(why, why_size, "cannot start a process that calls: %s", strerror(-r));
    generator_free(&lot->generator);
    return false;
}

static void leave(struct crowd *crowd, enum crowd_task task)
{
    for (unsigned i = 0; i < CROWD_LOTS_MAX; i++) {
        struct crowd_lot *lot = &crowd->lots[i];
        if (lot->generator.pid == 0 || lot->task != task || lot->leaves)
            continue;
        generator_stop(&lot->generator);
        lot->leaves = true;
    }
}

/* --- the load ----------------------------------------------------------------------------------------------------- */

static struct load_plan plan_of(const struct order_load *load)
{
    bool mute = load->kind == ORDER_SLOW || load->kind == ORDER_SILENT;
    return (struct load_plan){
        .talk = load->kind == ORDER_TALK, .clients = load->callers, .slow = mute ? load->callers : 0,
        .drip_ms = load->kind == ORDER_SLOW ? DRIP_MS : 0, .rate = mute ? 0 : load->rate,
        .think_ms = load->rate > 0 || mute ? 0 : load->think_ms, .duration_ns = FOR_EVER_NS,
    };
}

bool crowd_set(struct crowd *crowd, const struct stage *stage, const struct order_load *load, char *why,
               size_t why_size)
{
    int socktype = load->kind == ORDER_DATAGRAMS ? SOCK_DGRAM : SOCK_STREAM;
    const struct sb_address *address = stage_address(stage, socktype);
    struct load_plan plan = plan_of(load);
    if (!address) {
        snprintf(why, why_size, "the server has no address for %s: start the lab with one, as in "
                 "'switchboard lab play tcp://127.0.0.1:0 udp://127.0.0.1:0'",
                 socktype == SOCK_DGRAM ? "datagrams" : "connections");
        return false;
    }
    plan.address = *address;
    leave(crowd, CROWD_LOAD);
    crowd->load = *load;
    return load->callers == 0 || send_lot(crowd, CROWD_LOAD, plan, load->question, why, why_size);
}

/* --- beside it ---------------------------------------------------------------------------------------------------- */

/* What a handler is told so that it fails, or computes; NULL: it cannot be told. */
static const char *find_word(const char *handler, const char *const words[][2], unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (strcmp(handler, words[i][0]) == 0)
            return words[i][1];
    return NULL;
}

static const char *word_for(enum order_act act, const char *handler)
{
    static const char *const crashes[][2] = { { "play", "crash" }, { "crash", "segfault" } };
    static const char *const holds[][2] = { { "play", "spin 1000000" }, { "spin", "1000000" } };
    return act == ORDER_CRASH ? find_word(handler, crashes, 2) : find_word(handler, holds, 2);
}

static bool tell(struct crowd *crowd, const struct stage *stage, enum order_act act, struct load_plan plan, char *why,
                 size_t why_size)
{
    const char *word = word_for(act, stage->now.handler);
    plan.clients = plan.count = 1;
    if (word)
        return send_lot(crowd, act == ORDER_CRASH ? CROWD_CRASH : CROWD_HOLD, plan, word, why, why_size);
    snprintf(why, why_size, "the handler %s cannot be told to %s: play can", stage->now.handler,
             act == ORDER_CRASH ? "crash" : "hold the CPU");
    return false;
}

bool crowd_act(struct crowd *crowd, const struct stage *stage, enum order_act act, char *why, size_t why_size)
{
    const struct sb_address *address = stage_address(stage, SOCK_STREAM);
    struct load_plan plan = { .clients = 1, .duration_ns = FOR_EVER_NS };
    if (act == ORDER_RELEASE) {
        leave(crowd, CROWD_SLOW);
        return true;
    }
    if (!address) {
        snprintf(why, why_size, "the server has no address for connections: start the lab with one");
        return false;
    }
    plan.address = *address;
    if (act == ORDER_CRASH || act == ORDER_HOLD)
        return tell(crowd, stage, act, plan, why, why_size);
    if (act == ORDER_BURST) {
        plan.clients = plan.count = CROWD_BURST;
        return send_lot(crowd, CROWD_BURST_OF_CALLERS, plan, crowd->load.question, why, why_size);
    }
    plan.slow = 1;
    plan.drip_ms = act == ORDER_ONE_SLOW ? DRIP_MS : 0;
    return send_lot(crowd, CROWD_SLOW, plan, "", why, why_size);
}

/* --- looking ------------------------------------------------------------------------------------------------------ */

static void add(struct crowd_totals *totals, const struct load_result *result)
{
    totals->answered += result->answered;
    totals->errors += load_errors(result);
    histogram_merge(&totals->latency, &result->latency);
}

bool crowd_look(struct crowd *crowd)
{
    bool any = false;
    for (unsigned i = 0; i < CROWD_LOTS_MAX; i++) {
        struct crowd_lot *lot = &crowd->lots[i];
        char why[LOAD_WHY_SIZE];
        siginfo_t end = { 0 };
        if (lot->generator.pid == 0 || waitid(P_PID, lot->generator.pid, &end, WEXITED | WNOHANG | WNOWAIT) < 0 ||
            end.si_pid == 0)
            continue;
        generator_wait(&lot->generator, why, sizeof why);
        if (why[0])
            memcpy(crowd->why, why, sizeof why);
        if (why[0] && lot->task == CROWD_LOAD && !lot->leaves)
            crowd->load.callers = 0;
        add(&crowd->gone, lot->generator.result);
        generator_free(&lot->generator);
        any = true;
    }
    return any;
}

unsigned crowd_count(const struct crowd *crowd, enum crowd_task task)
{
    unsigned count = 0;
    for (unsigned i = 0; i < CROWD_LOTS_MAX; i++)
        count += crowd->lots[i].generator.pid > 0 && crowd->lots[i].task == task;
    return count;
}

void crowd_total(const struct crowd *crowd, struct crowd_totals *ret_totals)
{
    *ret_totals = crowd->gone;
    for (unsigned i = 0; i < CROWD_LOTS_MAX; i++)
        if (crowd->lots[i].generator.pid > 0)
            add(ret_totals, crowd->lots[i].generator.result);
}

bool crowd_sum(const struct crowd *crowd, uint64_t *ret_answers, uint64_t *ret_largest)
{
    for (unsigned i = 0; i < CROWD_LOTS_MAX; i++) {
        const struct crowd_lot *lot = &crowd->lots[i];
        if (lot->generator.pid == 0 || lot->task != CROWD_LOAD || lot->leaves || strcmp(lot->question, "add\n") != 0)
            continue;
        *ret_answers = lot->generator.result->answered;
        *ret_largest = lot->generator.result->largest_number;
        return true;
    }
    return false;
}

void crowd_finish(struct crowd *crowd)
{
    for (unsigned i = 0; i < CROWD_LOTS_MAX; i++)
        if (crowd->lots[i].generator.pid > 0)
            generator_free(&crowd->lots[i].generator);
}
