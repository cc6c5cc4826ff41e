#include "generation.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "ground/descriptor.h"
#include "ground/passing.h"

unsigned sb_generation_number(const struct sb_generation *generation)
{
    return generation->number;
}

void sb_generation_finish(struct sb_generation *generation)
{
    for (unsigned i = 0; i < generation->calls; i++)
        free(generation->requested[i]);
    free(generation->requested);
    sb_fd_close(&generation->channel);
}

/* --- what it tells ------------------------------------------------------------------------------------------------ */

static int tell(const struct sb_generation *generation, const char *const *words, const int *fds, unsigned count)
{
    char packet[SB_TOLD_MAX];
    size_t size = 0;
    for (; *words && size < sizeof packet; words++) {
        size_t length = MIN(strlen(*words), sizeof packet - size - 1);
        memcpy(packet + size, *words, length);
        packet[size + length] = '\0';
        size += length + 1;
    }
    return sb_pass(generation->channel, packet, size, fds, count);
}

void sb_generation_refuse(struct sb_generation *generation, const char *why)
{
    if (!generation->told)
        tell(generation, (const char *const[]){ "refused", why, NULL }, NULL, 0);
}

int sb_generation_tell_listener(struct sb_generation *generation, unsigned call, const char *bound, const int *fds,
                                unsigned count)
{
    char number[16];
    snprintf(number, sizeof number, "%u", call);
    const char *const words[] = { "listener", number, generation->requested[call], bound, NULL };
    int r = 0;
    for (unsigned i = 0; r == 0 && i < count; i += SB_PASSED_MAX)
        r = tell(generation, words, fds + i, MIN(count - i, SB_PASSED_MAX));
    return r;
}

int sb_generation_tell_ready(struct sb_generation *generation, const char *strategy, const char *handler, int board_fd)
{
    int r = tell(generation, (const char *const[]){ "ready", strategy, handler, NULL }, &board_fd, 1);
    generation->told = r == 0;
    return r;
}

/* --- what it hears ------------------------------------------------------------------------------------------------ */

static void overhear(void *data, enum sb_log_level level, const char *text)
{
    struct sb_generation *generation = data;
    const struct sb_log *log = &generation->log;
    if (level == SB_LOG_ERROR)
        sb_generation_refuse(generation, text);
    sb_log_line(log, level, "%s", text);
}

void sb_generation_overhear(struct sb_generation *generation, struct sb_log *log)
{
    generation->log = *log;
    log->write = overhear;
    log->data = generation;
}

int sb_generation_call(struct sb_generation *generation, const char *requested)
{
    char **grown = reallocarray(generation->requested, generation->calls + 1, sizeof *grown);
    char *copy = strdup(requested);
    if (grown)
        generation->requested = grown;
    if (!grown || !copy) {
        free(copy);
        return -ENOMEM;
    }
    generation->requested[generation->calls] = copy;
    return (int)generation->calls++;
}

void sb_generation_follow(const struct sb_generation *generation)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != generation->supervisor)
        _exit(1);
}
