#include "orders.h"

#include <string.h>

const char *const order_kind_names[ORDER_KINDS] = { "short", "talk", "slow", "silent", "datagrams" };
const char *const order_act_names[ORDER_ACTS] = {
    "slow", "silent", "burst", "crash", "hold", "release", "kill", "stop"
};

bool order_change_is_empty(const struct order_change *change)
{
    return !change->strategy[0] && !change->accept[0] && !change->workers[0] && !change->handler[0] &&
           change->n_options == 0;
}

int order_find(const char *const *names, unsigned count, const char *name)
{
    for (unsigned i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return (int)i;
    return -1;
}
