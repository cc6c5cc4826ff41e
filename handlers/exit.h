/* How a caller of `count` and `ack` ends the talk: a message that is `exit` and nothing else.
 * A terminal sends the newline along, a program does not. */
#ifndef HANDLERS_EXIT_H
#define HANDLERS_EXIT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static inline bool says_exit(const char *text, size_t size)
{
    while (size > 0 && (text[size - 1] == '\n' || text[size - 1] == '\r'))
        size--;
    return size == 4 && memcmp(text, "exit", 4) == 0;
}

#endif
