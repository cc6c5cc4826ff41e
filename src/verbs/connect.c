/* sb_connect: a handler calls another server. */
#include <stdlib.h>

#include "../objects.h"

struct lookup {
    const char *text;
    struct sb_address *list;
    unsigned count;
    int result;
};

static void look_up(void *argument)
{
    struct lookup *lookup = argument;
    lookup->result = sb_address_resolve(lookup->text, NULL, &lookup->list, &lookup->count, NULL);
}

static int wait_for(void *request, int fd, short events, int timeout_ms)
{
    return fd < 0 ? sb_sleep(request, timeout_ms) : sb_wait_fd(request, fd, events, timeout_ms);
}

int sb_connect(struct sb_request *request, const char *text, int timeout_ms)
{
    struct lookup lookup = { .text = text };
    int r = sb_offload(request, look_up, &lookup);
    if (r < 0 || lookup.result < 0)
        return r < 0 ? r : lookup.result;
    r = sb_address_connect(lookup.list, lookup.count, timeout_ms, wait_for, request, NULL);
    free(lookup.list);
    return r;
}
