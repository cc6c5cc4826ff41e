/* A change that is asked for while the screen goes on: by the command, as anybody can. */
#ifndef TOP_CHANGE_H
#define TOP_CHANGE_H

#include <sys/types.h>

struct change {
    pid_t pid;              /* the command; 0: none runs */
    int fd;                 /* its output */
    char text[512];         /* what it has said, or how it went */
};

/* Starts `switchboard WORDS...`, the words NULL-terminated. What it has to say will be in text; while one runs another
 * is not started, and text says so. */
void change_start(struct change *change, const char *const *words);

/* Takes in what it has said so far. */
void change_look(struct change *change);

/* Leaves it alone: what it was to do happens. */
void change_finish(struct change *change);

#endif
