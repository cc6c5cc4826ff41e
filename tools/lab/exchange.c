#include "exchange.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "../backlog.h"
#include "../clock.h"
#include "../text_json.h"

#define BACKLOG_LOOK_NS 200000000

enum {
    EVENTS_MAX = 65536,             /* taken in for one frame; what is more is missed */
    EVENTS_SHOWN = 3000,            /* of a frame, about */
    LANE_EVENTS_MAX = 16,           /* of a lane in a frame, when there are few lanes */
    NOBODY = -1,
};

/* A slot, which belongs to a lane while it is not free. */
struct seat {
    uint8_t state;
    int lane;                       /* NOBODY: none */
};

/* What the page shows in a row: one slot after the other, each the lowest lane that is free when it begins. So there
 * are as many as were busy at a time, and a worker that stays keeps its own. */
struct lane {
    int slot;                       /* that has it, or had it last; NOBODY: none yet */
    bool taken, named;
    bool fresh;                     /* it was there when its board was found: the page does not know of it */
    int pid, tid;                   /* as the page has been told */
    uint32_t worker;
    uint8_t state, told;            /* now; as the page has it */
    uint16_t port;
    uint64_t since_ns;
    int first, last;                /* its events of this frame: indices, NOBODY: none */
    unsigned count, served;
};

struct board {
    unsigned number;                /* the generation's; 0: the place is free */
    pid_t pid;
    uint32_t state;                 /* enum sb_generation_state */
    unsigned seen_beside;           /* the one that served when this one was there already; 0: none */
    const struct sb_scoreboard *board;  /* NULL: it has none yet */
    struct sb_trace_reader reader;
    struct seat *seats;             /* slot_count of each */
    struct lane *lanes;
    unsigned n_lanes;               /* that have been used */
    unsigned lowest;                /* no lane below it is free */
    int queued;                     /* accepted, and not begun */
    bool died;                      /* it has ended, and nobody had told it to */
};

struct event {
    uint64_t time_ns;
    int next;                       /* of the same lane; NOBODY: none */
    uint16_t port;
    uint8_t state;
};

struct exchange {
    pid_t pid;
    uint64_t zero_ns, frame_ns, backlog_ns;
    bool watched;
    int waiting;
    struct board boards[SB_GENERATIONS_MAX];
    struct sb_trace_event taken[EVENTS_MAX];
    struct event events[EVENTS_MAX];
    unsigned n_events;
    unsigned busy_lanes;            /* with events in this frame */
    uint64_t missed;
};

struct exchange *exchange_new(pid_t pid, uint64_t zero_ns)
{
    struct exchange *exchange = calloc(1, sizeof *exchange);
    if (exchange) {
        exchange->pid = pid;
        exchange->zero_ns = zero_ns;
        exchange->waiting = -1;
    }
    return exchange;
}

static void close_board(struct board *board)
{
    sb_scoreboard_close(board->board);
    free(board->seats);
    free(board->lanes);
    *board = (struct board){ .number = 0 };
}

void exchange_free(struct exchange *exchange)
{
    for (unsigned i = 0; exchange && i < SB_GENERATIONS_MAX; i++)
        close_board(&exchange->boards[i]);
    free(exchange);
}

/* --- generations -------------------------------------------------------------------------------------------------- */

static struct board *find_board(struct exchange *exchange, unsigned number)
{
    for (unsigned i = 0; i < SB_GENERATIONS_MAX; i++)
        if (exchange->boards[i].number == number)
            return &exchange->boards[i];
    return NULL;
}

static bool is_gone(uint8_t state)
{
    return state == SB_FREE || state == SB_DEAD;
}

static void take_lane(struct board *board, unsigned slot)
{
    struct lane *lane;
    while (board->lowest < board->n_lanes && board->lanes[board->lowest].taken)
        board->lowest++;
    lane = &board->lanes[board->lowest];
    if (board->lowest == board->n_lanes) {
        *lane = (struct lane){ .first = NOBODY, .last = NOBODY };
        board->n_lanes++;
    }
    lane->slot = (int)slot;
    lane->taken = true;
    board->seats[slot].lane = (int)board->lowest;
}

static void leave_lane(struct board *board, unsigned slot)
{
    struct seat *seat = &board->seats[slot];
    if (seat->lane == NOBODY)
        return;
    board->lanes[seat->lane].taken = false;
    board->lowest = MIN(board->lowest, (unsigned)seat->lane);
    seat->lane = NOBODY;
}

static void begin_seat(struct board *board, unsigned slot_number)
{
    const struct sb_slot *slot = sb_scoreboard_slot(board->board, slot_number);
    struct seat *seat = &board->seats[slot_number];
    *seat = (struct seat){ .state = __atomic_load_n(&slot->state, __ATOMIC_RELAXED), .lane = NOBODY };
    if (is_gone(seat->state))
        return;
    take_lane(board, slot_number);
    struct lane *lane = &board->lanes[seat->lane];
    lane->since_ns = __atomic_load_n(&slot->since_ns, __ATOMIC_RELAXED);
    lane->port = __atomic_load_n(&slot->port, __ATOMIC_RELAXED);
    lane->state = lane->told = seat->state;
}

/* From now on, as far as the slots tell. */
static void begin_lanes(struct board *board)
{
    board->reader = (struct sb_trace_reader){ .board = board->board,
                                              .next = __atomic_load_n(&board->board->trace_count, __ATOMIC_RELAXED) };
    board->queued = 0;
    board->n_lanes = board->lowest = 0;
    for (unsigned i = 0; i < board->board->slot_count; i++)
        begin_seat(board, i);
}

static void open_board(struct exchange *exchange, const struct sb_ledger *ledger, const struct sb_ledger_entry *entry,
                       struct board *board)
{
    const struct sb_scoreboard *opened;
    if (sb_ledger_open_board(ledger, entry, &opened) < 0)
        return;
    struct seat *seats = calloc(opened->slot_count, sizeof *seats);
    struct lane *lanes = calloc(opened->slot_count, sizeof *lanes);
    if (!seats || !lanes) {
        free(seats);
        free(lanes);
        sb_scoreboard_close(opened);
        return;
    }
    board->seats = seats;
    board->lanes = lanes;
    board->board = opened;
    begin_lanes(board);
    for (unsigned i = 0; i < board->n_lanes; i++)
        board->lanes[i].fresh = true;
    sb_trace_switch(opened->pid, exchange->watched);
}

static void take_entry(struct exchange *exchange, const struct sb_ledger *ledger, const struct sb_ledger_entry *entry)
{
    struct board *board = find_board(exchange, entry->number);
    if (!board)
        board = find_board(exchange, 0);
    if (!board)
        return;
    board->number = entry->number;
    board->pid = entry->pid;
    board->state = entry->state;
    if (!board->board)
        open_board(exchange, ledger, entry, board);
}

static bool is_there(const struct sb_ledger *ledger, unsigned number)
{
    for (unsigned i = 0; i < SB_GENERATIONS_MAX; i++)
        if (ledger->entries[i].state != SB_GENERATION_NONE && ledger->entries[i].number == number)
            return true;
    return false;
}

/* A successor is there for a second before it serves alone. */
static bool had_successor(const struct exchange *exchange, const struct board *board)
{
    for (unsigned i = 0; i < SB_GENERATIONS_MAX; i++)
        if (exchange->boards[i].number > board->number && exchange->boards[i].seen_beside == board->number)
            return true;
    return false;
}

static void see_beside(struct exchange *exchange)
{
    unsigned serving = 0;
    for (unsigned i = 0; i < SB_GENERATIONS_MAX; i++)
        if (exchange->boards[i].number > 0 && exchange->boards[i].state == SB_GENERATION_SERVING)
            serving = exchange->boards[i].number;
    for (unsigned i = 0; serving > 0 && i < SB_GENERATIONS_MAX; i++)
        if (exchange->boards[i].number > serving)
            exchange->boards[i].seen_beside = serving;
}

/* One that still served when it was seen last, alone, has not been told to end. Its lanes end with the next frame. */
static pid_t take_ended(struct exchange *exchange, const struct sb_ledger *ledger)
{
    pid_t died = 0;
    for (unsigned i = 0; i < SB_GENERATIONS_MAX; i++) {
        struct board *board = &exchange->boards[i];
        if (board->number == 0 || board->state == SB_GENERATION_NONE || is_there(ledger, board->number))
            continue;
        board->died = board->state == SB_GENERATION_SERVING && !had_successor(exchange, board);
        if (board->died)
            died = board->pid;
        board->state = SB_GENERATION_NONE;
        if (!exchange->watched || !board->board)
            close_board(board);
    }
    return died;
}

static void count_waiting(struct exchange *exchange)
{
    pid_t pid;
    const char *strategy, *handler;
    uint64_t now_ns = clock_ns();
    if (now_ns < exchange->backlog_ns)
        return;
    exchange->backlog_ns = now_ns + BACKLOG_LOOK_NS;
    exchange->waiting = exchange_serving(exchange, &pid, &strategy, &handler) ? backlog_count(pid) : -1;
}

pid_t exchange_look(struct exchange *exchange)
{
    struct sb_ledger ledger;
    pid_t died = 0;
    int r = sb_ledger_read(exchange->pid, &ledger);
    if (r == -ENOENT)
        memset(&ledger, 0, sizeof ledger);
    else if (r < 0)
        return 0;       /* it cannot be told at this moment */
    for (unsigned i = 0; i < SB_GENERATIONS_MAX; i++)
        if (ledger.entries[i].state != SB_GENERATION_NONE)
            take_entry(exchange, &ledger, &ledger.entries[i]);
    died = take_ended(exchange, &ledger);
    see_beside(exchange);
    count_waiting(exchange);
    return died;
}

void exchange_watch(struct exchange *exchange, bool on)
{
    exchange->watched = on;
    exchange->frame_ns = clock_ns();
    for (unsigned i = 0; i < SB_GENERATIONS_MAX; i++) {
        struct board *board = &exchange->boards[i];
        if (!board->board)
            continue;
        sb_trace_switch(board->board->pid, on);
        if (on)
            begin_lanes(board);
    }
}

/* --- events ------------------------------------------------------------------------------------------------------- */

static bool is_idle(uint8_t state)
{
    return state == SB_FREE || state == SB_STARTING || state == SB_WAITING || state == SB_CLOSING || state == SB_DEAD;
}

/* A request that begins was accepted before, by this slot or another. */
static void count_queued(struct board *board, uint8_t former, uint8_t state)
{
    if (state == SB_ACCEPTED)
        board->queued++;
    else if (state == SB_HANDLING && is_idle(former))
        board->queued -= board->queued > 0;
}

static void add_event(struct exchange *exchange, struct lane *lane, const struct sb_trace_event *taken)
{
    int index = (int)exchange->n_events;
    if (exchange->n_events == EVENTS_MAX)
        return;
    exchange->events[exchange->n_events++] = (struct event){ taken->time_ns, NOBODY, taken->port, taken->state };
    if (lane->last == NOBODY)
        lane->first = index;
    else
        exchange->events[lane->last].next = index;
    lane->last = index;
    exchange->busy_lanes += lane->count == 0;
    lane->count++;
    lane->served += taken->state == SB_CLOSING;
    lane->state = taken->state;
}

/* A worker that has ended because its generation retires has not died. */
static struct sb_trace_event as_shown(const struct board *board, struct sb_trace_event event)
{
    bool died = event.state == SB_DEAD && (board->state == SB_GENERATION_SERVING || board->died);
    event.state = event.state == SB_DEAD && !died ? SB_FREE : event.state;
    return event;
}

static void take_event(struct exchange *exchange, struct board *board, const struct sb_trace_event *taken)
{
    struct seat *seat = &board->seats[taken->slot];
    count_queued(board, seat->state, taken->state);
    if (taken->state == SB_ACCEPTED)
        return;
    if (seat->lane == NOBODY && !is_gone(taken->state))
        take_lane(board, taken->slot);
    if (seat->lane != NOBODY)
        add_event(exchange, &board->lanes[seat->lane], taken);
    if (is_gone(taken->state))
        leave_lane(board, taken->slot);
    seat->state = taken->state;
}

static void take_events(struct exchange *exchange, struct board *board)
{
    uint64_t missed = board->reader.missed;
    unsigned count = sb_trace_read(&board->reader, exchange->taken, EVENTS_MAX - exchange->n_events);
    for (unsigned i = 0; i < count; i++)
        if (exchange->taken[i].slot < board->board->slot_count) {
            struct sb_trace_event event = as_shown(board, exchange->taken[i]);
            take_event(exchange, board, &event);
        }
    exchange->missed += board->reader.missed - missed;
}

/* What is lost with a ring that was overtaken, or with a process that was killed, the slots tell. */
static void mend(struct exchange *exchange, struct board *board, uint64_t now_ns)
{
    bool ended = board->state == SB_GENERATION_NONE;
    if (!ended && exchange->missed == 0)
        return;
    for (unsigned i = 0; i < board->board->slot_count; i++) {
        const struct sb_slot *slot = sb_scoreboard_slot(board->board, i);
        uint8_t state = __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE), end = board->died ? SB_DEAD : SB_FREE;
        const struct sb_trace_event made = { .time_ns = now_ns, .slot = i, .state = ended ? end : state };
        if (made.state != board->seats[i].state && !(ended && is_gone(board->seats[i].state)))
            take_event(exchange, board, &made);
    }
    board->queued = 0;
}

/* --- a frame ------------------------------------------------------------------------------------------------------ */

struct frame {
    uint64_t begin_ns, end_ns;
    unsigned per_lane;              /* events that a lane may have */
    double cell_ms;                 /* 0: no lane had more */
    json_t *lanes, *events, *served, *generations;
    json_int_t turn;                /* NOBODY: none */
};

static double ms(uint64_t ns)
{
    return (double)ns / 1e6;
}

static json_int_t lane_id(const struct board *board, unsigned number)
{
    return (json_int_t)board->number * 65536 + number;
}

static void put(json_t *list, json_int_t value)
{
    json_array_append_new(list, json_integer(value));
}

static void put_event(struct frame *frame, json_int_t id, int64_t at_ns, uint8_t state, uint16_t port)
{
    put(frame->events, id);
    put(frame->events, at_ns / 100000);
    put(frame->events, state);
    put(frame->events, port);
}

/* By the slot that had it last. */
static void put_name(struct frame *frame, const struct board *board, unsigned number)
{
    const struct sb_slot *slot = sb_scoreboard_slot(board->board, (unsigned)board->lanes[number].slot);
    int pid = __atomic_load_n(&slot->pid, __ATOMIC_RELAXED), tid = __atomic_load_n(&slot->tid, __ATOMIC_RELAXED);
    int worker = (int)__atomic_load_n(&slot->worker, __ATOMIC_RELAXED);
    json_array_append_new(frame->lanes, json_pack("[I,i,i,i,i]", lane_id(board, number), worker, pid, tid,
                                                  (int)__atomic_load_n(&slot->accepts, __ATOMIC_RELAXED)));
}

/* Where the pages do not know it so. */
static void name_lane(struct frame *frame, struct board *board, unsigned number)
{
    struct lane *lane = &board->lanes[number];
    const struct sb_slot *slot = sb_scoreboard_slot(board->board, (unsigned)lane->slot);
    int pid = __atomic_load_n(&slot->pid, __ATOMIC_RELAXED), tid = __atomic_load_n(&slot->tid, __ATOMIC_RELAXED);
    uint32_t worker = __atomic_load_n(&slot->worker, __ATOMIC_RELAXED);
    if (lane->named && lane->pid == pid && lane->tid == tid && lane->worker == worker)
        return;
    lane->named = true;
    lane->pid = pid;
    lane->tid = tid;
    lane->worker = worker;
    put_name(frame, board, number);
}

static void put_each(const struct exchange *exchange, struct frame *frame, json_int_t id, const struct lane *lane)
{
    for (int i = lane->first; i != NOBODY; i = exchange->events[i].next) {
        const struct event *event = &exchange->events[i];
        put_event(frame, id, (int64_t)(event->time_ns - frame->begin_ns), event->state, event->port);
    }
}

/* How long a lane was in each state within a cell, and for whom last. */
struct share {
    uint64_t ns[SB_ACCEPTED];
    uint16_t ports[SB_ACCEPTED];
};

static void spend(struct share *share, uint8_t state, uint16_t port, uint64_t from_ns, uint64_t to_ns)
{
    if (to_ns <= from_ns || state >= SB_ACCEPTED)
        return;
    share->ns[state] += to_ns - from_ns;
    share->ports[state] = port;
}

static uint8_t largest(const struct share *share)
{
    uint8_t most = 0;
    for (uint8_t state = 1; state < SB_ACCEPTED; state++)
        if (share->ns[state] > share->ns[most])
            most = state;
    return most;
}

/* A lane with too many events for a picture: in each cell of time the state that took most of it. before: its state
 * when the frame began. */
static void put_cells(const struct exchange *exchange, struct frame *frame, json_int_t id, struct lane *lane,
                      uint8_t before)
{
    uint64_t step_ns = MAX((frame->end_ns - frame->begin_ns) / frame->per_lane, 1), at_ns = frame->begin_ns;
    int i = lane->first;
    uint8_t state = before, told = lane->told;
    uint16_t port = lane->port;
    for (uint64_t cell_ns = at_ns; cell_ns < frame->end_ns; cell_ns += step_ns) {
        struct share share = { { 0 }, { 0 } };
        uint64_t end_ns = MIN(cell_ns + step_ns, frame->end_ns);
        for (; i != NOBODY && exchange->events[i].time_ns < end_ns; i = exchange->events[i].next) {
            spend(&share, state, port, at_ns, exchange->events[i].time_ns);
            at_ns = MAX(at_ns, exchange->events[i].time_ns);
            state = exchange->events[i].state;
            port = exchange->events[i].port;
            if (state == SB_DEAD) {         /* no moment is too short for that */
                put_event(frame, id, (int64_t)(at_ns - frame->begin_ns), state, port);
                told = state;
            }
        }
        spend(&share, state, port, at_ns, end_ns);
        at_ns = end_ns;
        uint8_t most = largest(&share);
        if (most != told)
            put_event(frame, id, (int64_t)(cell_ns - frame->begin_ns), most, share.ports[most]);
        told = most;
    }
    if (state != told)
        put_event(frame, id, (int64_t)(frame->end_ns - frame->begin_ns), state, port);
    put(frame->served, id);
    put(frame->served, lane->served);
    frame->cell_ms = ms(step_ns);
}

static void put_lane(const struct exchange *exchange, struct frame *frame, struct board *board, unsigned number)
{
    struct lane *lane = &board->lanes[number];
    json_int_t id = lane_id(board, number);
    name_lane(frame, board, number);
    if (lane->count <= frame->per_lane)
        put_each(exchange, frame, id, lane);
    else
        put_cells(exchange, frame, id, lane, lane->told);
    lane->told = lane->state;
    lane->port = exchange->events[lane->last].port;
    lane->since_ns = exchange->events[lane->last].time_ns;
    lane->first = lane->last = NOBODY;
    lane->count = lane->served = 0;
}

static void put_generation(struct frame *frame, const struct board *board)
{
    struct sb_totals totals = sb_scoreboard_totals(board->board);
    json_array_append_new(frame->generations, json_pack(
        "{s:i, s:i, s:s, s:o, s:o, s:I, s:i, s:i}", "number", (int)board->number, "pid", (int)board->pid, "state",
        sb_generation_state_name(board->state), "strategy", text_json(board->board->strategy), "handler",
        text_json(board->board->handler), "served", (json_int_t)totals.served, "workers", (int)totals.workers, "busy",
        (int)totals.busy));
    uint32_t turn = __atomic_load_n(&board->board->turn, __ATOMIC_RELAXED);
    if (turn > 0 && turn <= board->board->slot_count && board->state == SB_GENERATION_SERVING)
        frame->turn = board->seats[turn - 1].lane == NOBODY ? NOBODY
                                                            : lane_id(board, (unsigned)board->seats[turn - 1].lane);
}

/* Only who hands requests on has a queue. */
static json_t *queue_of(const struct exchange *exchange)
{
    for (unsigned i = 0; i < SB_GENERATIONS_MAX; i++) {
        const struct board *board = &exchange->boards[i];
        if (board->board && board->state == SB_GENERATION_SERVING && strstr(board->board->strategy, "pool"))
            return json_integer(board->queued);
    }
    return json_null();
}

static void begin_frame(struct frame *frame, uint64_t begin_ns, uint64_t end_ns)
{
    *frame = (struct frame){ .begin_ns = begin_ns, .end_ns = end_ns, .turn = NOBODY, .lanes = json_array(),
                             .events = json_array(), .served = json_array(), .generations = json_array() };
}

static json_t *finish_frame(const struct exchange *exchange, struct frame *frame, bool full)
{
    double length_ms = ms(frame->end_ns - frame->begin_ns);
    return json_pack("{s:f, s:f, s:b, s:o, s:o, s:o, s:I, s:f, s:o, s:o, s:o, s:o}", "t",
                     ms(frame->end_ns - exchange->zero_ns), "ms", length_ms, "full", full, "waiting",
                     exchange->waiting < 0 ? json_null() : json_integer(exchange->waiting), "queue", queue_of(exchange),
                     "turn", frame->turn < 0 ? json_null() : json_integer(frame->turn), "missed",
                     (json_int_t)exchange->missed, "coarse", frame->cell_ms, "generations", frame->generations, "lanes",
                     frame->lanes, "events", frame->events, "served", frame->served);
}

static void introduce(struct frame *frame, struct board *board)
{
    for (unsigned i = 0; i < board->n_lanes; i++) {
        struct lane *lane = &board->lanes[i];
        if (!lane->fresh)
            continue;
        lane->fresh = false;
        name_lane(frame, board, i);
        put_event(frame, lane_id(board, i), (int64_t)(lane->since_ns - frame->begin_ns), lane->told, lane->port);
    }
}

json_t *exchange_frame(struct exchange *exchange)
{
    struct frame frame;
    uint64_t now_ns = clock_ns();
    begin_frame(&frame, exchange->frame_ns, now_ns);
    exchange->n_events = exchange->busy_lanes = 0;
    exchange->missed = 0;
    for (unsigned i = 0; i < SB_GENERATIONS_MAX; i++)
        if (exchange->boards[i].board) {
            introduce(&frame, &exchange->boards[i]);
            take_events(exchange, &exchange->boards[i]);
        }
    for (unsigned i = 0; i < SB_GENERATIONS_MAX; i++)
        if (exchange->boards[i].board)
            mend(exchange, &exchange->boards[i], now_ns);
    frame.per_lane = MAX(MIN(EVENTS_SHOWN / MAX(exchange->busy_lanes, 1), LANE_EVENTS_MAX), 1);
    for (unsigned i = 0; i < SB_GENERATIONS_MAX; i++) {
        struct board *board = &exchange->boards[i];
        if (!board->board)
            continue;
        for (unsigned n = 0; n < board->n_lanes; n++)
            if (board->lanes[n].count > 0)
                put_lane(exchange, &frame, board, n);
        put_generation(&frame, board);
        if (board->state == SB_GENERATION_NONE)
            close_board(board);
    }
    json_t *made = finish_frame(exchange, &frame, false);
    exchange->frame_ns = now_ns;
    return made;
}

json_t *exchange_full(struct exchange *exchange)
{
    struct frame frame;
    begin_frame(&frame, exchange->frame_ns, exchange->frame_ns);
    for (unsigned i = 0; i < SB_GENERATIONS_MAX; i++) {
        struct board *board = &exchange->boards[i];
        for (unsigned n = 0; board->board && n < board->n_lanes; n++) {
            struct lane *lane = &board->lanes[n];
            if (is_gone(lane->told))
                continue;
            put_name(&frame, board, n);
            put_event(&frame, lane_id(board, n), (int64_t)(lane->since_ns - frame.end_ns), lane->told, lane->port);
        }
        if (board->board)
            put_generation(&frame, board);
    }
    return finish_frame(exchange, &frame, true);
}

/* --- for others --------------------------------------------------------------------------------------------------- */

void exchange_count(const struct exchange *exchange, unsigned *ret_workers, unsigned *ret_busy, int *ret_waiting)
{
    *ret_workers = *ret_busy = 0;
    *ret_waiting = exchange->waiting;
    for (unsigned i = 0; i < SB_GENERATIONS_MAX; i++) {
        const struct board *board = &exchange->boards[i];
        if (!board->board || board->state == SB_GENERATION_NONE)
            continue;
        struct sb_totals totals = sb_scoreboard_totals(board->board);
        *ret_workers += totals.workers;
        *ret_busy += totals.busy;
    }
}

bool exchange_serving(const struct exchange *exchange, pid_t *ret_pid, const char **ret_strategy,
                      const char **ret_handler)
{
    for (unsigned i = 0; i < SB_GENERATIONS_MAX; i++) {
        const struct board *board = &exchange->boards[i];
        if (!board->board || board->state != SB_GENERATION_SERVING)
            continue;
        *ret_pid = board->pid;
        *ret_strategy = board->board->strategy;
        *ret_handler = board->board->handler;
        return true;
    }
    return false;
}

unsigned exchange_workers_of(const struct exchange *exchange, pid_t pid)
{
    unsigned count = 0;
    for (unsigned i = 0; i < SB_GENERATIONS_MAX; i++) {
        const struct board *board = &exchange->boards[i];
        for (unsigned n = 0; board->board && board->state != SB_GENERATION_NONE && n < board->board->slot_count; n++) {
            const struct sb_slot *slot = sb_scoreboard_slot(board->board, n);
            uint32_t state = __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE);
            count += slot->pid == pid && state != SB_FREE && state != SB_DEAD;
        }
    }
    return count;
}
