/* Taking turns at a listener, by a mutex or a file lock that all processes share (UNP 30, designs 3, 4 and 7). Knows
 * nothing of servers. Private. */
#ifndef TURN_H
#define TURN_H

#include <pthread.h>
#include <switchboard/server.h>

/* What a server's workers lock. */
struct sb_turn {
    enum sb_discipline discipline;  /* neither mutex nor flock: nobody takes turns */
    pthread_mutex_t *mutex;         /* mutex: in memory that all processes share; robust, so that the next one has it
                                     * when its holder dies */
    int fd;                         /* flock: a file, reopened by each loop; -1: none */
};

/* Made once for the whole server; memory: where the mutex may lie, in memory that all processes share. */
int sb_turn_init(struct sb_turn *turn, enum sb_discipline discipline, void *memory);
void sb_turn_finish(struct sb_turn *turn);

/* A loop's own descriptor of the lock, which it closes; -1 where it needs none. Errors: -EMFILE and the like. */
int sb_turn_join(const struct sb_turn *turn, int *ret_fd);

/* Waits for the turn, and ends it. fd: of sb_turn_join(). */
void sb_turn_take(const struct sb_turn *turn, int fd);
void sb_turn_leave(const struct sb_turn *turn, int fd);

/* Whether loops take turns. */
static inline bool sb_turn_is_taken(const struct sb_turn *turn)
{
    return turn->discipline == SB_ACCEPT_MUTEX || turn->discipline == SB_ACCEPT_FLOCK;
}

#endif
