/* One generation as its supervisor sees it: a child process, what it has told, how it ends. Private. */
#ifndef MEMBER_H
#define MEMBER_H

#include "generation.h"
#include "ledger.h"

struct sb_member {
    unsigned number;
    enum sb_generation_state state;
    pid_t pid;
    int pidfd, channel, board_fd;       /* -1: none */
    const struct sb_scoreboard *board;  /* NULL: not ready yet */
    void *wish;
    char *strategy, *handler;           /* once it is ready */
    char *why;                          /* it will not serve; or NULL */
    bool rejected;                      /* that is our word, not its own */
    const struct sb_held_list *held;    /* its supervisor's */
    struct sb_held_list sockets;        /* its, as told so far */
    int64_t started_ns, ready_ns, retired_ns;
    int told_end;                       /* SIGTERM or SIGQUIT; 0: nothing yet */
    int64_t quit_ns, kill_ns;           /* when it is told to end at once, and when it is killed */
    unsigned fruitless;                 /* looks in a row at what it has told that have failed */
    int status;                         /* once it has ended: of waitpid(2) */
};

/* Forks. In the child *generation is made, with the sockets that it inherits, and the function returns 0 there too, once
 * its parent has let it begin; member->pid is 0. Else member is a generation that starts; -EAGAIN, -ENOMEM, -EMFILE. What
 * is buffered for stdio's streams is written before. Signals stay blocked in the child, which has to put back
 * *ret_mask. */
int sb_member_start(struct sb_member *member, struct sb_held_list *held, struct sb_generation *generation,
                    sigset_t *ret_mask);

/* Lets it begin, now that it is watched. -errno: it will not. */
int sb_member_let_begin(const struct sb_member *member);

/* Takes in what it has told. Whether that made it ready. */
bool sb_member_hear(struct sb_member *member);

/* Whether it has ended. */
bool sb_member_reap(struct sb_member *member);

/* By sigqueue(3), where that can be. */
void sb_member_signal(const struct sb_member *member, int signo);

/* "was killed by signal 11 (Segmentation fault)", "has ended with status 1". */
void sb_member_describe_end(const struct sb_member *member, char *text, size_t size);

/* forget: closes and frees all that it has here, sockets too. */
void sb_member_forget(struct sb_member *member);

#endif
