/* Who runs here: the worker behind the current thread, and its slot on the scoreboard. Private. */
#ifndef WORKER_H
#define WORKER_H

#include <time.h>
#include "objects.h"

struct sb_worker {
    struct sb_slot *slot;       /* NULL: this thread is no worker (yet) */
    unsigned index;             /* among all accept loops of the server */
    bool in_loop;               /* an accept loop runs here */
    bool handling;              /* a handler runs here */
    struct sb_batch **batches;  /* of the loop that runs here, one for each listener or NULL (family/batch.h) */
    const struct sb_request *request;   /* the one that the loop itself handles, while its finish_request runs */
};

extern _Thread_local struct sb_worker sb_worker;

int sb_board_init(struct sb_server *server);
void sb_board_finish(struct sb_server *server);

/* The current thread's slot; one that nobody reads where it has none. */
struct sb_slot *sb_slot_current(void);

/* A slot for a worker that starts; never NULL: with none free, one that nobody reads. */
struct sb_slot *sb_slot_claim(struct sb_server *server, unsigned worker);
void sb_slot_release(struct sb_server *server, struct sb_slot *slot, enum sb_state last);

/* Puts a pid on a slot: a parent for its child, which saves the child asking. */
void sb_slot_sign(struct sb_slot *slot, pid_t pid);

/* After a child has died: its slots become dead. */
void sb_slots_bury(struct sb_server *server, pid_t pid);

/* Makes the slot the current thread's. tid: gettid(), or 0 where a system call is too much. */
void sb_slot_occupy(const struct sb_server *server, struct sb_slot *slot, pid_t tid);

/* Of a traced slot, before it enters a state: an event, unless it is in that already. */
void sb_slot_trace(struct sb_slot *slot, enum sb_state state);

/* Four times for each exchange of a talk, so it is inline and asks the clock that costs no more than a load. Each field
 * is written by one worker and read by others: relaxed is all that a reader is promised. */
static inline void sb_slot_enter(struct sb_slot *slot, enum sb_state state)
{
    if (__builtin_expect(slot->traced, 0))
        sb_slot_trace(slot, state);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    __atomic_store_n(&slot->since_ns, now.tv_sec * UINT64_C(1000000000) + now.tv_nsec, __ATOMIC_RELAXED);
    __atomic_store_n(&slot->state, state, __ATOMIC_RELAXED);
}

/* A loop with this slot has taken a request: SB_ACCEPTED, where that is traced. */
void sb_slot_accept(struct sb_slot *slot, const struct sb_address *peer);

void sb_slot_begin_request(struct sb_slot *slot, const struct sb_address *peer);
void sb_slot_end_request(struct sb_slot *slot, bool failed);

/* SB_CLOSING, for a request that may never have begun. */
void sb_slot_close_request(struct sb_slot *slot, const struct sb_address *peer);

/* An error of a request that has ended already. */
void sb_slot_count_error(struct sb_slot *slot);

#endif
