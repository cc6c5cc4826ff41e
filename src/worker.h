/* Who runs here: the worker behind the current thread, and the slots of the scoreboard that workers write. Private. */
#ifndef WORKER_H
#define WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>
#include <switchboard/scoreboard.h>

struct sb_worker {
    struct sb_slot *slot;       /* NULL: this thread is no worker (yet) */
    unsigned index;             /* among all accept loops of the server */
    bool in_loop;               /* an accept loop runs here */
    bool handling;              /* a handler runs here */
    struct sb_book *book;       /* of the loop that runs here (books.h) */
    struct sb_batch **batches;  /* of that loop too, one for each listener or NULL (family/batch.h) */
    const struct sb_request *request;   /* the one that the loop itself handles, while its finish_request runs */
};

extern _Thread_local struct sb_worker sb_worker;

/* All who work for a server, and where they write what they do. */
struct sb_crew {
    pid_t owner, process;       /* who created it, and who runs here; process 0: fork's child, whose slot the parent
                                 * has signed */
    unsigned loops;             /* accept loops in all: prefork's workers times prethread's */
    unsigned slots;             /* workers with a slot of their own, beside one for each request */
    struct sb_slot *process_slot;   /* of a forked worker: the one its parent claimed for it */

    struct sb_scoreboard *board;    /* shared by all processes */
    size_t board_size;
    int board_fd;
    atomic_uint slot_hint;      /* where a free slot may be */
};

/* init: a crew of one, without a board. open: the board, with room for as many requests, and for at least so many events
 * in the ring, or none; -EMFILE and the like. */
void sb_crew_init(struct sb_crew *crew);
int sb_crew_open(struct sb_crew *crew, unsigned requests, unsigned trace_room, const char *strategy,
                 const char *handler);
void sb_crew_finish(struct sb_crew *crew);

/* The current thread's slot; one that nobody reads where it has none. */
struct sb_slot *sb_slot_current(void);

/* A slot for a worker that starts; never NULL: with none free, one that nobody reads. hint: &crew->slot_hint, or that
 * of a loop which claims one for each request, so that loops do not meet. */
struct sb_slot *sb_slot_claim(const struct sb_crew *crew, atomic_uint *hint, unsigned worker);
void sb_slot_release(const struct sb_crew *crew, atomic_uint *hint, struct sb_slot *slot, enum sb_state last);

/* For readers: whose turn it is to listen; NULL: nobody's. By who has the turn. */
void sb_slot_show_turn(const struct sb_crew *crew, const struct sb_slot *slot);

/* Puts a pid on a slot: a parent for its child, which saves the child asking. */
void sb_slot_sign(struct sb_slot *slot, pid_t pid);

/* After a child has died: its slots become dead. */
void sb_slots_bury(struct sb_crew *crew, pid_t pid);

/* Makes the slot the current thread's. tid: gettid(), or 0 where a system call is too much. */
void sb_slot_occupy(const struct sb_crew *crew, struct sb_slot *slot, pid_t tid);

/* Of a traced slot, before it enters a state: an event, unless it is in that already. Returns the time. */
int64_t sb_slot_trace(struct sb_slot *slot, enum sb_state state);

/* Four times for each exchange of a talk, so it is inline and asks the clock that costs no more than a load. Each field
 * is written by one worker and read by others: relaxed is all that a reader is promised. */
static inline void sb_slot_enter(struct sb_slot *slot, enum sb_state state)
{
    uint64_t now_ns;
    if (__builtin_expect(__atomic_load_n(&slot->traced, __ATOMIC_RELAXED), 0)) {
        now_ns = sb_slot_trace(slot, state);
    } else {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
        now_ns = now.tv_sec * UINT64_C(1000000000) + now.tv_nsec;
    }
    __atomic_store_n(&slot->since_ns, now_ns, __ATOMIC_RELAXED);
    __atomic_store_n(&slot->state, state, __ATOMIC_RELAXED);
}

/* A loop with this slot has taken a request: SB_ACCEPTED, where that is traced. */
void sb_slot_accept(struct sb_slot *slot, const struct sb_address *peer);

void sb_slot_begin_request(struct sb_slot *slot, const struct sb_address *peer);

/* It has ended: well, by an error, or because its caller had left. */
enum sb_outcome { SB_DONE, SB_FAILED, SB_LEFT };
void sb_slot_end_request(struct sb_slot *slot, enum sb_outcome outcome);

/* SB_CLOSING, for a request that may never have begun. */
void sb_slot_close_request(struct sb_slot *slot, const struct sb_address *peer);

/* An error of a request that has ended already. */
void sb_slot_count_error(struct sb_slot *slot);

#endif
