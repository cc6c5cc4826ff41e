/* What is preloaded into the command that inject.c runs tells it by prctl(MARK, one of these, VALUE), which no kernel
 * knows: main() is about to run; exit() has been called; an allocation fails; there were VALUE of them. */
#ifndef MARK_H
#define MARK_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { MARK = 0x5357424d, MARK_BEGIN = 1, MARK_END, MARK_FAULT, MARK_ALLOCATIONS };

/* Whether this program is the one that is asked about by ONLY (inject.c). */
static inline bool is_wanted(void)
{
    const char *only = getenv("ONLY");
    return !only || (strcmp(only, "renewal") == 0) == (getenv("SWITCHBOARD_RENEWAL") != NULL);
}

#endif
