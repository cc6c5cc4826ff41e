/* Whose turn it is, among threads and processes: first come, first served. Lives in memory that they share; a process
 * that dies gives its places back. */
#ifndef HANDLERS_TURNS_H
#define HANDLERS_TURNS_H

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <unistd.h>

#define TURNS_MAX 64

struct turns {
    pthread_mutex_t lock;       /* guards all of it; held for one look only */
    uint64_t last_ticket;
    struct place {
        uint64_t ticket;        /* the lowest has its turn; 0: nobody. Written last, so that whoever dies half-way
                                 * leaves the table as it was */
        pid_t pid;
    } places[TURNS_MAX];
};

/* The memory must be zeroed and shared. Returns 0, or -errno. */
static inline int turns_init(struct turns *turns)
{
    pthread_mutexattr_t attributes;
    int r = pthread_mutexattr_init(&attributes);
    if (r != 0)
        return -r;
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    r = pthread_mutex_init(&turns->lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return -r;
}

static inline void turns_finish(struct turns *turns)
{
    pthread_mutex_destroy(&turns->lock);
}

static inline void turns_lock(struct turns *turns)
{
    if (pthread_mutex_lock(&turns->lock) == EOWNERDEAD)
        pthread_mutex_consistent(&turns->lock);
}

/* With the lock held: how many have a lower ticket. Who is found dead leaves. */
static inline int turns_count_before(struct turns *turns, uint64_t ticket)
{
    pid_t self = getpid();
    int count = 0;
    for (struct place *place = turns->places; place < turns->places + TURNS_MAX; place++) {
        if (place->ticket == 0 || place->ticket >= ticket)
            continue;
        if (place->pid != self && kill(place->pid, 0) < 0 && errno == ESRCH)
            place->ticket = 0;
        else
            count++;
    }
    return count;
}

static inline int turns_before(struct turns *turns, uint64_t ticket)
{
    turns_lock(turns);
    int count = turns_count_before(turns, ticket);
    pthread_mutex_unlock(&turns->lock);
    return count;
}

/* Joins the line: returns how many are before, 0 when it is this one's turn at once; or -EBUSY, the line is full. */
static inline int turns_join(struct turns *turns, uint64_t *ret_ticket)
{
    turns_lock(turns);
    int r = turns_count_before(turns, UINT64_MAX);
    struct place *place = turns->places;
    while (r < TURNS_MAX && place->ticket != 0)
        place++;
    if (r < TURNS_MAX) {
        place->pid = getpid();
        place->ticket = *ret_ticket = ++turns->last_ticket;
    }
    pthread_mutex_unlock(&turns->lock);
    return r < TURNS_MAX ? r : -EBUSY;
}

/* Ticket 0 never joined. */
static inline void turns_leave(struct turns *turns, uint64_t ticket)
{
    turns_lock(turns);
    for (struct place *place = turns->places; ticket != 0 && place < turns->places + TURNS_MAX; place++)
        if (place->ticket == ticket)
            place->ticket = 0;
    pthread_mutex_unlock(&turns->lock);
}

#endif
