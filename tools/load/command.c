/* switchboard load: many clients, every answer checked. What it promises: switchboard-load(1). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <switchboard/address.h>
#include "../arguments.h"
#include "../caller.h"
#include "../program.h"
#include "generator.h"
#include "learn.h"
#include "load.h"
#include "options.h"
#include "report.h"
#include "settle.h"
#include "watch.h"

#define DRIP_MS 200

static void say_not_learned(const char *address, int error)
{
    char why[CALLER_WHY_SIZE];
    const char *advice = error == ETIMEDOUT ? ": if it waits for more, --send ends too early, perhaps it lacks \\n"
                         : error == ENODATA ? ": it ended the connection; --expect=TEXT says what should come" : "";
    fprintf(stderr, "switchboard load: no first answer from %s, which would be the measure of the others: %s%s\n",
            address, error == ENODATA ? "nothing came" : caller_explain(error, address, why), advice);
}

static struct load_plan make_plan(const struct load_options *options)
{
    double seconds = options->seconds > 0 || options->requests > 0 ? options->seconds : 10;
    uint64_t patience_ns = (uint64_t)(options->timeout * 1e9);
    return (struct load_plan){
        .talk = options->talk, .clients = options->clients, .slow = options->slow, .drip_ms = DRIP_MS,
        .think_ms = (unsigned)options->think_ms,
        .rate = options->rate, .count = options->requests, .duration_ns = (uint64_t)(seconds * 1e9),
        .patience_ns = patience_ns, .grace_ns = patience_ns, .cpu = generator_choose_cpu(),
        .dialogue = { .expects = options->question ? LOAD_TEXT : LOAD_CAPITALS,
                      .question = options->question, .question_size = options->question_size,
                      .answer = options->answer, .answer_size = options->answer_size },
    };
}

/* Where nobody said what must come back, that is what comes first; the caller's to free. 0 or the exit status. */
static int learn_answer(const struct load_options *options, const char *address, struct load_plan *plan, char **ret_answer)
{
    struct load_dialogue *dialogue = &plan->dialogue;
    if (!options->question || options->answer)
        return 0;
    int r = load_learn(&plan->address, dialogue->question, dialogue->question_size, (int)(options->timeout * 1000),
                       ret_answer, &dialogue->answer_size);
    if (r < 0)
        say_not_learned(address, -r);
    dialogue->answer = *ret_answer;
    return r < 0;
}

static int load(const struct load_options *options, const char *address, struct load_plan *plan)
{
    const struct load_result *result = load_watch(plan, address);
    if (!result)
        return 1;
    load_report(plan, address, options->question && !options->answer, result);
    return load_errors(result) > 0 || result->answered == 0;
}

/* What is said of it: where nobody is, the name. */
static void settle(const struct load_options *options, struct addresses *addresses, struct load_plan *plan)
{
    const struct sb_address *settled = load_settle(addresses, &plan->dialogue, (int)(options->timeout * 1000));
    plan->address = settled ? *settled : addresses->list[0];
    if (settled)
        sb_address_format(settled, addresses->name);
}

static int run(const struct load_options *options)
{
    struct load_plan plan = make_plan(options);
    struct addresses addresses;
    char *learned = NULL;
    int status = argument_addresses("switchboard load", options->address[0], &addresses);
    if (status != 0)
        return status;
    settle(options, &addresses, &plan);
    status = learn_answer(options, addresses.name, &plan, &learned);
    if (status == 0)
        status = load(options, addresses.name, &plan);
    free(learned);
    free(addresses.list);
    return status;
}

int main(int argc, char **argv)
{
    struct load_options options;
    program_begin("switchboard load");
    load_options_parse(argc, argv, &options);
    int status = run(&options);
    free(options.question);
    free(options.answer);
    return status;
}
