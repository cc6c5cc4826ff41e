/* A change of a server that is asked for while something else goes on: by the command, as anybody can. */
#ifndef CHANGE_H
#define CHANGE_H

#include <sys/types.h>

#define CHANGE_WORDS_MAX 32

struct change {
    pid_t pid;              /* the command; 0: none runs */
    int fd;                 /* its output */
    int status;             /* of the last one that has ended, as wait(2) has it; -1: it could not begin */
    char text[512];         /* what it has said, or how it went */
};

/* Starts `switchboard WORDS...`, the words NULL-terminated, at most CHANGE_WORDS_MAX. What it has to say will be in text; while one runs another
 * is not started, and text says so. */
void change_start(struct change *change, const char *const *words);

/* Takes in what it has said so far. */
void change_look(struct change *change);

/* Leaves it alone: what it was to do happens. */
void change_finish(struct change *change);

#endif
