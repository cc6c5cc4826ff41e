/* The scoreboard: who does what, for whom, since when. Shared memory, readable from outside the process.
 *
 * Every worker (a process, a thread, or the loop) owns one slot and alone writes to it, with plain stores and a coarse
 * clock: no system call, no lock, no cache line shared between workers. A reader sees each number whole,
 * but not all fields of one instant, and a peer that may just be changing.
 *
 * A server with sb_config.trace also writes down what its slots do, in the order in which it happened, in a ring that
 * readers follow; and how long they take. */
#ifndef SWITCHBOARD_SCOREBOARD_H
#define SWITCHBOARD_SCOREBOARD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <switchboard/address.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define SB_SCOREBOARD_MAGIC 0x7362736bu
#define SB_SCOREBOARD_VERSION 5
#define SB_SLOT_PEER_SIZE 52

enum sb_state {
    SB_FREE,            /* nobody's; its counters still count in the totals */
    SB_STARTING,
    SB_WAITING,         /* for a request */
    SB_READING,         /* for its caller's bytes */
    SB_HANDLING,
    SB_WRITING,
    SB_SLEEPING,        /* in sb_sleep() or sb_wait_fd(): waits for something other than its caller's bytes */
    SB_CLOSING,         /* a request, or, in a worker of prefork, itself after max_requests */
    SB_DEAD,            /* ended, and found dead by its parent */
    SB_ACCEPTED,        /* in a trace only, of a loop's slot: it has taken a request */
};

struct sb_slot {
    uint32_t state;             /* enum sb_state */
    int32_t pid, tid;           /* tid 0: a thread for one request (asking for it would be a system call for each) */
    uint32_t worker;            /* number within its strategy, from 0 */
    uint64_t since_ns;          /* CLOCK_MONOTONIC_COARSE, when state was entered */
    uint64_t served, errors;    /* requests finished, and those of them that failed */
    uint64_t left;              /* those that ended because their caller had left: no errors */
    uint64_t truncated;         /* datagrams cut off at max_packet_size */
    uint64_t held_up;           /* of a loop of fibers: how often a handler has held it for too long */
    uint32_t traced;            /* 0: not, else 1 + the slot's number */
    uint16_t retired;           /* a worker of prefork: takes no more requests */
    uint16_t accepts;           /* a loop that takes requests from listeners */
    uint16_t port;              /* of a traced slot: its caller's now, host byte order; 0: none */
    uint16_t peer_size;         /* sb_address.size of the last caller */
    uint8_t peer[SB_SLOT_PEER_SIZE];    /* the beginning of its sb_address: all of IP's, and of a Unix socket's owner */
};

struct sb_scoreboard {
    uint32_t magic, version;
    uint32_t slot_count, slot_size;
    int32_t pid;                /* the server's */
    uint32_t stopping;          /* bits. 1: a stop was asked for; 2: what runs is to be cut off at once; 4: or may take
                                 * as long as it needs */
    uint64_t started_ns;        /* CLOCK_MONOTONIC */
    char strategy[64], handler[64];
    uint64_t accept_lock[8];    /* the mutex discipline's; not for readers */
    uint32_t trace_room;        /* events that the ring holds, a power of two; 0: there is none */
    uint32_t ready;             /* a loop can take a call, or could since serving began */
    uint32_t accepting;         /* loops that take requests to pass them on to workers */
    uint32_t tracing;           /* whether slots that are claimed from now on are traced */
    uint32_t trace_bits;        /* of which power */
    uint32_t turn;              /* under mutex and flock: 1 + the slot of the loop that listens; 0: none does */
    uint8_t padding[8];
    uint64_t trace_count;       /* events that have happened; the last trace_room of them are in the ring */
};

/* A slot enters a state, or a loop has taken a request (SB_ACCEPTED); under `pass` that is the worker's loop. */
struct sb_trace_event {
    uint64_t time_ns;           /* CLOCK_MONOTONIC; in the ring 0: the event is still being written */
    uint32_t slot;              /* which, from 0 */
    uint16_t port;              /* of the caller it concerns, host byte order; 0: none, or one without ports */
    uint8_t state;              /* enum sb_state */
    uint8_t lap;                /* how often the ring had been written before, modulo 256 */
};

/* How long a traced slot took, in a histogram: the i-th number counts what took from 2^i microseconds to twice as long,
 * the first also what was shorter, the last also what was longer. */
#define SB_DURATIONS 28
struct sb_durations {
    uint32_t waiting[SB_DURATIONS];     /* in SB_WAITING: for a request */
    uint32_t handling[SB_DURATIONS];    /* from a caller's bytes, or their end, until it waits for bytes again, or ends;
                                         * of a request that never waited for any: all of it */
    uint64_t since_ns, begun_ns;        /* for who writes it: when its state, and its handling, began */
    uint32_t heard;                     /* that handling began with a caller's bytes */
    uint32_t padding[3];
};

struct sb_totals {
    uint64_t served, errors, left, truncated, held_up;
    unsigned workers, busy;     /* slots alive, and those reading, handling, writing, sleeping or closing */
};

/* The board of a running server, mapped read-only through /proc/PID/fd; of a supervisor's (generation.h), that of the
 * generation which serves. -ENOENT: no such server, or no generation yet, -EACCES: not ours, -EPROTO: another version.
 * *ret_board is the caller's: sb_scoreboard_close(). */
int sb_scoreboard_open(pid_t pid, const struct sb_scoreboard **ret_board);
void sb_scoreboard_close(const struct sb_scoreboard *board);

/* The n-th slot, n below board->slot_count. */
const struct sb_slot *sb_scoreboard_slot(const struct sb_scoreboard *board, unsigned n);

/* A slot's last caller: its address, or of a Unix socket without one its owner. A path or abstract name of more bytes
 * than there is room for ends after 55 of them, with "..."; it is whatever its owner chose, control characters too.
 * False, and *ret_address untouched: none yet. */
bool sb_slot_peer(const struct sb_slot *slot, struct sb_address *ret_address);

const struct sb_durations *sb_scoreboard_durations(const struct sb_scoreboard *board, unsigned n);

/* One who follows a trace; any number may, and they slow nobody down. A ring should hold many more events than the
 * server has workers: one that is overtaken by a whole lap while it writes may leave an event with another's time. The
 * events of one slot are in order, and so are events of which one led to the other; those of slots that have nothing to
 * do with each other may stand, by a little, the wrong way round. */
struct sb_trace_reader {
    const struct sb_scoreboard *board;
    uint64_t next;              /* the number of the event that is read next. 0: all that the ring still has;
                                 * board->trace_count: only what happens from now on */
    uint64_t missed;            /* events that were overwritten before they were read, or never finished, for their
                                 * process was killed just then */
    uint64_t unfinished;        /* 1 + the number of one that was not finished when it was to be read; 0: none */
};

/* Copies the next events, at most so many, and returns their number. One that is still being written ends them for now;
 * if the next call finds it so, it counts as missed. */
unsigned sb_trace_read(struct sb_trace_reader *reader, struct sb_trace_event *events, unsigned room);

/* Has a server trace, or not, from now on: that of a process whose board has a ring (board->pid), and is ours to write.
 * A server with sb_config.trace begins with it on. -ENOENT, -EACCES, -EPROTO as sb_scoreboard_open(); -EOPNOTSUPP: no
 * ring. */
int sb_trace_switch(pid_t pid, bool on);

struct sb_totals sb_scoreboard_totals(const struct sb_scoreboard *board);

/* Whether a loop of any of its processes may take another request. */
bool sb_scoreboard_accepts(const struct sb_scoreboard *board);

/* "free", "starting", ... */
const char *sb_state_name(uint32_t state);

/* --- generations -------------------------------------------------------------------------------------------------- */

#define SB_LEDGER_MAGIC 0x73626c64u
#define SB_LEDGER_VERSION 1
#define SB_GENERATIONS_MAX 64

enum sb_generation_state {
    SB_GENERATION_NONE,         /* the place is free */
    SB_GENERATION_STARTING,
    SB_GENERATION_READY,        /* takes requests, beside the one that serves */
    SB_GENERATION_SERVING,
    SB_GENERATION_RETIRING,     /* takes none any more, but has some left */
};

/* What a supervisor (generation.h) writes down: which generations there are, and what those that have ended did. */
struct sb_ledger {
    uint32_t magic, version;
    uint32_t sequence;          /* odd: it is being changed; not for readers of a copy */
    int32_t pid;                /* the supervisor's */
    uint64_t started_ns;        /* CLOCK_MONOTONIC */
    char name[64];              /* "": none */
    char control[108];          /* a Unix socket's path as the supervisor sees it, "": none */
    uint32_t ended;             /* generations that have, and what they did: */
    uint64_t served, errors, left, truncated, held_up;
    struct sb_ledger_entry {
        uint32_t number;        /* from 1 */
        uint32_t state;         /* enum sb_generation_state */
        int32_t pid;
        int32_t board_fd;       /* the supervisor's descriptor of its board; -1: none yet */
        uint64_t since_ns;      /* CLOCK_MONOTONIC, when state was entered */
    } entries[SB_GENERATIONS_MAX];
};

/* A copy of a supervisor's ledger, all of one instant. -ENOENT: no such supervisor; else as sb_scoreboard_open(). */
int sb_ledger_read(pid_t pid, struct sb_ledger *ret_ledger);

/* The supervisor of that name among the processes that we may look into. -ENOENT: there is none. */
int sb_ledger_find(const char *name, struct sb_ledger *ret_ledger);

/* The supervisors among those processes: the pids of the first `room`; returns how many there are, or -errno. */
int sb_ledger_list(pid_t *ret_pids, unsigned room);

/* The generation that serves; NULL: none at this moment. */
const struct sb_ledger_entry *sb_ledger_serving(const struct sb_ledger *ledger);

/* The board of a generation, as sb_scoreboard_open(). */
int sb_ledger_open_board(const struct sb_ledger *ledger, const struct sb_ledger_entry *entry,
                         const struct sb_scoreboard **ret_board);

/* All that the server has done: the generations that have ended, and those that are there. */
struct sb_totals sb_ledger_totals(const struct sb_ledger *ledger);

/* "starting", "serving", ... */
const char *sb_generation_state_name(uint32_t state);

/* This process's own server. */
struct sb_server;
const struct sb_scoreboard *sb_server_scoreboard(const struct sb_server *server);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
