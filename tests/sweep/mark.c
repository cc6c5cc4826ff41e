/* Preloaded into the command that inject.c runs. */
#include <sys/prctl.h>

#include "mark.h"

__attribute__((constructor)) static void begin(void)
{
    if (is_wanted())
        prctl(MARK, MARK_BEGIN, 0, 0, 0);
}

__attribute__((destructor)) static void end(void)
{
    prctl(MARK, MARK_END, 0, 0, 0);
}
