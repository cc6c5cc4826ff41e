#include "snapshot.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backlog.h"
#include "clock.h"
#include "target.h"

static double seconds_since(uint64_t since_ns)
{
    uint64_t now_ns = clock_ns();
    return now_ns > since_ns ? (double)(now_ns - since_ns) / 1e9 : 0;
}

/* --- a worker ----------------------------------------------------------------------------------------------------- */

/* A socket's path may hold anything: no byte of it may move the cursor. */
static void make_harmless(char *text)
{
    for (; *text; text++) {
        unsigned char byte = text[0], next = text[1];
        if (byte < ' ' || byte == 127)
            text[0] = '.';
        if (byte == 0xc2 && next >= 0x80 && next < 0xa0)
            text[0] = text[1] = '.';
    }
}

static void append_user(const struct sb_address *address, char *text)
{
    size_t length = strlen(text);
    bool known = address->size == 0 && address->sa.sa_family == AF_UNIX && address->owner.known;
    const struct passwd *user = known ? getpwuid(address->owner.uid) : NULL;
    if (user)
        snprintf(text + length, SB_ADDRESS_TEXT_SIZE - length, " (%s)", user->pw_name);
}

static void format_peer(const struct sb_slot *slot, char *text)
{
    struct sb_address address;
    strcpy(text, "-");
    if (!sb_slot_peer(slot, &address))
        return;
    sb_address_format_peer(&address, text);
    append_user(&address, text);
    make_harmless(text);
}

static void take_worker(const struct sb_slot *slot, uint32_t state, struct snapshot_worker *worker)
{
    *worker = (struct snapshot_worker){ .worker = slot->worker, .pid = slot->pid, .tid = slot->tid, .state = state,
                                        .seconds = seconds_since(slot->since_ns), .served = slot->served,
                                        .errors = slot->errors, .left = slot->left };
    format_peer(slot, worker->peer);
}

/* --- a generation ------------------------------------------------------------------------------------------------- */

static int take_board(const struct sb_scoreboard *board, struct snapshot_generation *generation)
{
    generation->workers = calloc(board->slot_count, sizeof *generation->workers);
    if (!generation->workers)
        return -ENOMEM;
    generation->known = true;
    memcpy(generation->handler, board->handler, sizeof generation->handler);
    memcpy(generation->strategy, board->strategy, sizeof generation->strategy);
    for (unsigned i = 0; i < board->slot_count; i++) {
        const struct sb_slot *slot = sb_scoreboard_slot(board, i);
        uint32_t state = __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE);
        if (state != SB_FREE)
            take_worker(slot, state, &generation->workers[generation->n_workers++]);
    }
    return 0;
}

/* One that is not yet ready has no workers to show, and one that has ended meanwhile none any more. */
static int take_generation(const struct sb_ledger *ledger, const struct sb_ledger_entry *entry,
                           struct snapshot *snapshot)
{
    struct snapshot_generation *generation = &snapshot->generations[snapshot->n_generations++];
    const struct sb_scoreboard *board;
    *generation = (struct snapshot_generation){ .number = entry->number, .pid = entry->pid, .state = entry->state,
                                                .seconds = seconds_since(entry->since_ns) };
    int r = sb_ledger_open_board(ledger, entry, &board);
    if (r < 0)
        return r == -ENOENT ? -EAGAIN : r;
    r = take_board(board, generation);
    sb_scoreboard_close(board);
    return r;
}

/* --- all of it ---------------------------------------------------------------------------------------------------- */

static int make_room(struct snapshot *snapshot, unsigned count)
{
    snapshot->generations = calloc(count, sizeof *snapshot->generations);
    return snapshot->generations ? 0 : -ENOMEM;
}

/* Of a server that cannot change. */
static int take_single(pid_t pid, struct snapshot *snapshot)
{
    const struct sb_scoreboard *board;
    int r = sb_scoreboard_open(pid, &board);
    if (r < 0)
        return r;
    snapshot->pid = board->pid;
    snapshot->seconds = seconds_since(board->started_ns);
    snapshot->totals = sb_scoreboard_totals(board);
    r = make_room(snapshot, 1);
    if (r == 0) {
        snapshot->generations[snapshot->n_generations++] = (struct snapshot_generation){
            .pid = board->pid, .state = SB_GENERATION_SERVING, .seconds = snapshot->seconds };
        r = take_board(board, &snapshot->generations[0]);
    }
    sb_scoreboard_close(board);
    return r;
}

static int take_generations(const struct sb_ledger *ledger, struct snapshot *snapshot)
{
    const struct sb_ledger_entry *serving = sb_ledger_serving(ledger);
    int r = serving ? make_room(snapshot, SB_GENERATIONS_MAX) : -EAGAIN;
    if (r == 0)
        r = take_generation(ledger, serving, snapshot);
    if (r < 0)
        return r;
    snapshot->pid = ledger->pid;
    snapshot->seconds = seconds_since(ledger->started_ns);
    snapshot->ended = ledger->ended;
    memcpy(snapshot->name, ledger->name, sizeof snapshot->name);
    memcpy(snapshot->control, ledger->control, sizeof snapshot->control);
    snapshot->totals = sb_ledger_totals(ledger);
    for (unsigned i = 0; r != -ENOMEM && i < SB_GENERATIONS_MAX; i++)
        if (ledger->entries[i].state != SB_GENERATION_NONE && &ledger->entries[i] != serving)
            r = take_generation(ledger, &ledger->entries[i], snapshot);
    return r == -ENOMEM ? r : 0;
}

int snapshot_take(const char *target, struct snapshot *ret_snapshot)
{
    struct snapshot snapshot = { .taken_ns = clock_ns() };
    struct sb_ledger ledger;
    pid_t pid;
    int r = target_find(target, &ledger, &pid);
    r = r == -ENOENT && pid > 0 ? take_single(pid, &snapshot) : r < 0 ? r : take_generations(&ledger, &snapshot);
    if (r < 0) {
        snapshot_free(&snapshot);
        return r;
    }
    snapshot.waiting = backlog_count(snapshot.generations[0].pid);
    if (snapshot.waiting < 0)
        snapshot.waiting = -1;
    *ret_snapshot = snapshot;
    return 0;
}

void snapshot_free(struct snapshot *snapshot)
{
    for (unsigned i = 0; i < snapshot->n_generations; i++)
        free(snapshot->generations[i].workers);
    free(snapshot->generations);
    *snapshot = (struct snapshot){ .generations = NULL };
}

const char *snapshot_explain(int error)
{
    switch (error) {
    case -ENOENT:
        return "there is no such switchboard server; 'serve' prints its pid in its listening line, and --name names it";
    case -EAGAIN:
        return "none of its generations serves at this moment";
    default:
        return target_explain(error);
    }
}
