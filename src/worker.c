#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ground/clock.h"
#include "scoreboard.h"

_Static_assert(sizeof(pthread_mutex_t) <= sizeof((struct sb_scoreboard){ 0 }.accept_lock), "the mutex fits");

_Thread_local struct sb_worker sb_worker;

static _Thread_local struct sb_slot unread_slot;

#define PUT(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELAXED)
#define GET(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)

/* --- the board ---------------------------------------------------------------------------------------------------- */

void sb_crew_init(struct sb_crew *crew)
{
    crew->owner = crew->process = getpid();
    crew->loops = crew->slots = 1;
    crew->board_fd = -1;
}

static int map_board(struct sb_crew *crew)
{
    crew->board_fd = memfd_create(SB_BOARD_NAME, MFD_CLOEXEC);
    if (crew->board_fd < 0 || ftruncate(crew->board_fd, crew->board_size) < 0)
        return -errno;
    void *memory = mmap(NULL, crew->board_size, PROT_READ | PROT_WRITE, MAP_SHARED, crew->board_fd, 0);
    if (memory == MAP_FAILED)
        return -errno;
    crew->board = memory;
    return 0;
}

int sb_crew_open(struct sb_crew *crew, unsigned requests, unsigned trace_room, const char *strategy,
                 const char *handler)
{
    unsigned count = crew->slots + requests;
    if (trace_room > 1)
        trace_room = 1u << (32 - __builtin_clz(trace_room - 1));
    crew->board_size = sb_board_size(count, trace_room);
    int r = map_board(crew);
    if (r < 0)
        return r;
    struct sb_scoreboard *board = crew->board;
    board->version = SB_SCOREBOARD_VERSION;
    board->slot_count = count;
    board->slot_size = sizeof(struct sb_slot);
    board->trace_room = trace_room;
    board->trace_bits = trace_room > 0 ? __builtin_ctz(trace_room) : 0;
    board->tracing = trace_room > 0;
    board->pid = getpid();
    board->started_ns = sb_now_ns();
    strncpy(board->strategy, strategy, sizeof board->strategy - 1);
    strncpy(board->handler, handler, sizeof board->handler - 1);
    __atomic_store_n(&board->magic, SB_SCOREBOARD_MAGIC, __ATOMIC_RELEASE);
    return 0;
}

void sb_crew_finish(struct sb_crew *crew)
{
    if (crew->board)
        munmap(crew->board, crew->board_size);
    if (crew->board_fd >= 0)
        close(crew->board_fd);
    crew->board = NULL;
    crew->board_fd = -1;
}

/* --- the trace ---------------------------------------------------------------------------------------------------- */

/* traced: of a slot, not 0. */
static struct sb_scoreboard *board_of(const struct sb_slot *slot, uint32_t traced)
{
    return (struct sb_scoreboard *)((char *)(slot - (traced - 1)) - SB_BOARD_HEADER_SIZE);
}

/* An event has no time while it is written (sb_trace_read). */
static void add_event(struct sb_scoreboard *board, uint32_t number, enum sb_state state, uint16_t port, int64_t now_ns)
{
    uint64_t n = __atomic_fetch_add(&board->trace_count, 1, __ATOMIC_RELAXED);
    struct sb_trace_event *event = sb_board_ring(board) + (n & (board->trace_room - 1));
    union sb_trace_word word = { { .slot = number, .port = port, .state = state, .lap = n >> board->trace_bits } };
    PUT(event->time_ns, 0);
    __atomic_store_n((uint64_t *)&event->slot, word.bits, __ATOMIC_RELEASE);
    __atomic_store_n(&event->time_ns, now_ns, __ATOMIC_RELEASE);
}

/* Of a slot that has just been claimed, and is SB_STARTING already. */
static void begin_trace(struct sb_scoreboard *board, struct sb_slot *slot, unsigned number)
{
    uint32_t tracing;
    do {                            /* it may be switched meanwhile */
        tracing = __atomic_load_n(&board->tracing, __ATOMIC_SEQ_CST);
        __atomic_store_n(&slot->traced, tracing ? number + 1 : 0, __ATOMIC_SEQ_CST);
    } while (__atomic_load_n(&board->tracing, __ATOMIC_SEQ_CST) != tracing);
    if (tracing)
        add_event(board, number, SB_STARTING, 0, sb_now_ns());
}

static bool is_handling(enum sb_state state)
{
    return state == SB_HANDLING || state == SB_WRITING || state == SB_SLEEPING;
}

static void count(uint32_t *counts, uint64_t ns)
{
    uint64_t us = ns / 1000;
    unsigned n = us > 0 ? 63 - __builtin_clzll(us) : 0;
    n = n < SB_DURATIONS ? n : SB_DURATIONS - 1;
    PUT(counts[n], counts[n] + 1);
}

static void measure(struct sb_durations *durations, enum sb_state former, enum sb_state state, uint64_t now_ns)
{
    uint64_t since_ns = GET(durations->since_ns), begun_ns = GET(durations->begun_ns);
    if (former == SB_WAITING && since_ns > 0)
        count(durations->waiting, now_ns - since_ns);
    if (!is_handling(former) && is_handling(state)) {
        PUT(durations->begun_ns, now_ns);
        durations->heard = former == SB_READING;
    }
    if (is_handling(former) && !is_handling(state) && (durations->heard || state != SB_READING) && begun_ns > 0) {
        count(durations->handling, now_ns - begun_ns);
        PUT(durations->begun_ns, 0);
    }
    PUT(durations->since_ns, now_ns);
}

int64_t sb_slot_trace(struct sb_slot *slot, enum sb_state state)
{
    enum sb_state former = GET(slot->state);
    uint32_t traced = GET(slot->traced);
    int64_t now_ns = sb_now_ns();
    if (state < SB_READING || state > SB_CLOSING)
        PUT(slot->port, 0);
    if (former == state || traced == 0)
        return now_ns;
    struct sb_scoreboard *board = board_of(slot, traced);
    measure(sb_board_durations(board, traced - 1), former, state, now_ns);
    add_event(board, traced - 1, state, GET(slot->port), now_ns);
    return now_ns;
}

static uint16_t port_of(const struct sb_address *address)
{
    _Static_assert(offsetof(struct sockaddr_in, sin_port) == offsetof(struct sockaddr_in6, sin6_port), "either");
    int family = address->sa.sa_family;
    return family == AF_INET || family == AF_INET6 ? ntohs(address->in.sin_port) : 0;
}

static void note_port(struct sb_slot *slot, const struct sb_address *peer)
{
    if (GET(slot->traced))
        PUT(slot->port, port_of(peer));
}

static void note_peer(struct sb_slot *slot, const struct sb_address *peer)
{
    _Static_assert(sizeof peer->in6 <= sizeof slot->peer && sizeof peer->owner <= sizeof slot->peer, "they fit");
    if (peer->sa.sa_family == AF_UNIX)
        memcpy(slot->peer, &peer->un, sizeof slot->peer);
    else
        memcpy(slot->peer, &peer->in6, sizeof peer->in6);
    PUT(slot->peer_size, peer->size);
}

void sb_slot_accept(struct sb_slot *slot, const struct sb_address *peer)
{
    uint32_t traced = GET(slot->traced);
    if (traced)
        add_event(board_of(slot, traced), traced - 1, SB_ACCEPTED, port_of(peer), sb_now_ns());
}

/* --- a worker's slot ---------------------------------------------------------------------------------------------- */

struct sb_slot *sb_slot_current(void)
{
    return sb_worker.slot ? sb_worker.slot : &unread_slot;
}

/* A slot's numbers are those of one process: others' are taken when there is no other left. */
static bool claim(struct sb_slot *slot, pid_t process, bool others)
{
    uint32_t state = GET(slot->state);
    pid_t pid = GET(slot->pid);
    return (state == SB_DEAD || (state == SB_FREE && (others || pid <= 0 || pid == process))) &&
           __atomic_compare_exchange_n(&slot->state, &state, SB_STARTING, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

struct sb_slot *sb_slot_claim(const struct sb_crew *crew, atomic_uint *hint, unsigned worker)
{
    unsigned count = crew->board->slot_count, first = atomic_load_explicit(hint, memory_order_relaxed);
    for (unsigned i = 0; i < 2 * count; i++) {
        unsigned n = (first + i) % count;
        struct sb_slot *slot = sb_board_slot(crew->board, n);
        if (claim(slot, crew->process, i >= count)) {
            atomic_store_explicit(hint, n + 1, memory_order_relaxed);
            PUT(slot->worker, worker);
            PUT(slot->retired, 0);
            PUT(slot->accepts, 0);
            begin_trace(crew->board, slot, n);
            sb_slot_enter(slot, SB_STARTING);
            return slot;
        }
    }
    return &unread_slot;
}

void sb_slot_release(const struct sb_crew *crew, atomic_uint *hint, struct sb_slot *slot, enum sb_state last)
{
    if (slot == &unread_slot)
        return;
    sb_slot_enter(slot, SB_CLOSING);
    if (GET(slot->traced))
        sb_slot_trace(slot, last);
    __atomic_store_n(&slot->state, last, __ATOMIC_RELEASE);
    atomic_store_explicit(hint, slot - sb_board_slot(crew->board, 0), memory_order_relaxed);
}

void sb_slots_bury(struct sb_crew *crew, pid_t pid)
{
    for (unsigned i = 0; i < crew->board->slot_count; i++) {
        struct sb_slot *slot = sb_board_slot(crew->board, i);
        if (GET(slot->pid) != pid)
            continue;
        if (GET(slot->state) == SB_FREE)
            PUT(slot->pid, 0);
        else
            sb_slot_release(crew, &crew->slot_hint, slot, SB_DEAD);
    }
}

void sb_slot_occupy(const struct sb_crew *crew, struct sb_slot *slot, pid_t tid)
{
    if (crew->process != 0)
        PUT(slot->pid, crew->process);
    PUT(slot->tid, tid);
    sb_worker.slot = slot;
}

void sb_slot_show_turn(const struct sb_crew *crew, const struct sb_slot *slot)
{
    bool shown = slot && slot != &unread_slot;
    PUT(crew->board->turn, shown ? (uint32_t)(slot - sb_board_slot(crew->board, 0)) + 1 : 0);
}

void sb_slot_sign(struct sb_slot *slot, pid_t pid)
{
    PUT(slot->pid, pid);
}

void sb_slot_begin_request(struct sb_slot *slot, const struct sb_address *peer)
{
    note_peer(slot, peer);
    note_port(slot, peer);
    sb_slot_enter(slot, SB_HANDLING);
}

void sb_slot_end_request(struct sb_slot *slot, enum sb_outcome outcome)
{
    PUT(slot->served, slot->served + 1);
    if (outcome == SB_FAILED)
        PUT(slot->errors, slot->errors + 1);
    else if (outcome == SB_LEFT)
        PUT(slot->left, slot->left + 1);
}

void sb_slot_close_request(struct sb_slot *slot, const struct sb_address *peer)
{
    note_port(slot, peer);
    sb_slot_enter(slot, SB_CLOSING);
}

void sb_slot_count_error(struct sb_slot *slot)
{
    PUT(slot->errors, slot->errors + 1);
}
