#include "settle.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "dialogue.h"
#include "learn.h"

#define NEXT_QUESTION_MS 250

static int ask(const struct sb_address *address, const struct load_dialogue *dialogue)
{
    char line[DIALOGUE_LINE_SIZE], *answer = NULL;
    size_t size, answer_size;
    const char *question = dialogue_question(dialogue, 0, line, &size);
    int r = load_learn(address, question, size, NEXT_QUESTION_MS, &answer, &answer_size);
    free(answer);
    return r;
}

static unsigned ask_all(const struct addresses *addresses, const struct load_dialogue *dialogue)
{
    unsigned silent = addresses->count;     /* none */
    for (unsigned i = 0; i < addresses->count; i++) {
        int r = ask(&addresses->list[i], dialogue);
        if (r == 0)
            return i;
        if (r == -ETIMEDOUT && silent == addresses->count)
            silent = i;
    }
    return silent;
}

static unsigned call_all(const struct addresses *addresses, int timeout_ms)
{
    unsigned which = addresses->count;
    int fd = sb_address_connect(addresses->list, addresses->count, timeout_ms, NULL, NULL, &which);
    if (fd >= 0)
        close(fd);
    return which;
}

const struct sb_address *load_settle(const struct addresses *addresses, const struct load_dialogue *dialogue,
                                     int timeout_ms)
{
    if (addresses->count == 1)
        return addresses->list;
    bool datagrams = addresses->list->socktype == SOCK_DGRAM;
    unsigned which = datagrams ? ask_all(addresses, dialogue) : call_all(addresses, timeout_ms);
    return which < addresses->count ? &addresses->list[which] : NULL;
}
