/* The program's file anew (switchboard/generation.h, sb_supervisor_exec): which it is, and what is handed down. */
#ifndef SERVE_RENEW_H
#define SERVE_RENEW_H

#include "wish.h"

/* Remembers which file the program is, while it is that: first of all. One that was renewed has it from its note. */
void renew_begin(void);

/* That file; and what the process was started with, NULL: no memory. The caller frees the list, and not the words, which
 * are in the same block. */
const char *renew_path(void);
char **renew_arguments(void);

/* A wish as a note, with two descriptors and a path; NULL: no memory. And back: -ENOMEM, or -EPROTO: it is no note. */
struct renewal {
    int control_fd, caller_fd;          /* caller_fd -1: nobody asked */
    char control_path[108];
};
char *renew_write(const struct wish *wish, const struct renewal *renewal);
int renew_read(const char *note, struct wish **ret_wish, struct renewal *ret_renewal);

#endif
