/* Asks a running server's control for a change. */
#ifndef ASK_H
#define ASK_H

#include <stdbool.h>

/* target: a pid, or a name that serve was given. words: the request, NULL-terminated; words[0] is the command's name.
 * Prints each answer as it comes, or only the first, which settles it, where it shall not wait. Returns the exit status:
 * 0 it has happened, 1 not, and why is on stderr. */
int ask_server(const char *target, const char *const *words, bool waits);

#endif
