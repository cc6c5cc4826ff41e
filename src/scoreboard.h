/* How a scoreboard lies in memory: a header, the slots, and behind them, where there is a trace, the slots' durations
 * and the ring. Private. */
#ifndef SCOREBOARD_H
#define SCOREBOARD_H

#include <switchboard/scoreboard.h>

/* The memfds by which readers find them. */
#define SB_BOARD_NAME "switchboard-scoreboard"
#define SB_LEDGER_NAME "switchboard-ledger"

#define SB_BOARD_HEADER_SIZE ((sizeof(struct sb_scoreboard) + 127) / 128 * 128)

static inline struct sb_slot *sb_board_slot(const struct sb_scoreboard *board, unsigned n)
{
    return (struct sb_slot *)((char *)board + SB_BOARD_HEADER_SIZE) + n;
}

static inline struct sb_durations *sb_board_durations(const struct sb_scoreboard *board, unsigned n)
{
    return (struct sb_durations *)sb_board_slot(board, board->slot_count) + n;
}

static inline struct sb_trace_event *sb_board_ring(const struct sb_scoreboard *board)
{
    return (struct sb_trace_event *)sb_board_durations(board, board->slot_count);
}

static inline uint64_t sb_board_size(uint32_t slot_count, uint32_t trace_room)
{
    return SB_BOARD_HEADER_SIZE + slot_count * (uint64_t)sizeof(struct sb_slot) +
           (trace_room > 0 ? slot_count * (uint64_t)sizeof(struct sb_durations) : 0) +
           trace_room * (uint64_t)sizeof(struct sb_trace_event);
}

/* The second half of an event, as a word of 64 bits. */
union sb_trace_word {
    struct { uint32_t slot; uint16_t port; uint8_t state, lap; };
    uint64_t bits;
};

/* Maps the board behind a descriptor, which stays the caller's: as sb_scoreboard_open(). */
int sb_board_map(int fd, const struct sb_scoreboard **ret_board);

#endif
