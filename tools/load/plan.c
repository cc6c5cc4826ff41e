#include "plan.h"

const char *plan_complaint(const struct load_plan *plan)
{
    const struct load_dialogue *dialogue = &plan->dialogue;
    bool stream = plan->address.socktype == SOCK_STREAM;
    if (plan->clients < 1 || plan->clients > LOAD_CLIENTS_MAX)
        return "there must be from 1 to 1000000 clients";
    if (plan->slow > plan->clients)
        return "there cannot be more slow clients than clients";
    if (plan->count == 0 && plan->duration_ns == 0)
        return "neither the requests nor the time are limited";
    if (plan->limit_ns == 0 && (plan->least_ended > 0 || plan->least_poisoned > 0))
        return "there is a least of requests, and no limit of time";
    if (plan->patience_ns == 0 || plan->grace_ns > plan->patience_ns)
        return "no time for an answer, or more of it at the end than before";
    if (!(plan->rate >= 0 && plan->rate <= 1e9))
        return "the rate is no number of requests for each second";
    if (dialogue->expects != LOAD_CAPITALS &&
        (dialogue->question_size < 1 || dialogue->question_size > LOAD_QUESTION_SIZE_MAX))
        return "a question has from 1 to 65507 bytes";
    if (dialogue->expects == LOAD_TEXT && dialogue->answer_size < 1)
        return "an answer without a byte cannot be told from none";
    if (plan->think_ms > 0 && plan->rate > 0)
        return "who thinks between its requests asks at no fixed rate";
    if (plan->poison && (plan->poison_each < 1 || plan->talk || !stream || !*plan->poison))
        return "poison needs a connection for each request";
    return NULL;
}
