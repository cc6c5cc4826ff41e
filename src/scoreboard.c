#include "scoreboard.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(sizeof(struct sb_slot) == 128, "two cache lines, so that neighbours do not share one");

#define GET(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)

/* --- what is in it ------------------------------------------------------------------------------------------------ */

const char *sb_state_name(uint32_t state)
{
    static const char *const names[] = { "free", "starting", "waiting", "reading", "handling", "writing",
                                         "sleeping", "closing", "dead", "accepted" };
    return state < sizeof names / sizeof *names ? names[state] : "unknown";
}

const struct sb_slot *sb_scoreboard_slot(const struct sb_scoreboard *board, unsigned n)
{
    return sb_board_slot(board, n);
}

static socklen_t fit_path(struct sockaddr_un *address, socklen_t size)
{
    static const char more[] = "...";
    if (size <= SB_SLOT_PEER_SIZE)
        return size;
    memcpy((char *)address + SB_SLOT_PEER_SIZE - strlen(more), more, strlen(more));
    return SB_SLOT_PEER_SIZE;
}

bool sb_slot_peer(const struct sb_slot *slot, struct sb_address *ret_address)
{
    struct sb_address address;
    memset(&address, 0, sizeof address);
    address.socktype = SOCK_STREAM;
    memcpy(&address.un, slot->peer, sizeof slot->peer);
    switch (address.sa.sa_family) {
    case AF_UNIX:
        address.size = fit_path(&address.un, GET(slot->peer_size));
        break;
    case AF_INET:
        address.size = sizeof address.in;
        break;
    case AF_INET6:
        address.size = sizeof address.in6;
        break;
    default:
        return false;
    }
    *ret_address = address;
    return true;
}

struct sb_totals sb_scoreboard_totals(const struct sb_scoreboard *board)
{
    struct sb_totals totals = { 0 };
    for (unsigned i = 0; i < board->slot_count; i++) {
        const struct sb_slot *slot = sb_board_slot(board, i);
        uint32_t state = GET(slot->state);
        totals.served += GET(slot->served);
        totals.errors += GET(slot->errors);
        totals.left += GET(slot->left);
        totals.truncated += GET(slot->truncated);
        totals.held_up += GET(slot->held_up);
        totals.workers += state != SB_FREE && state != SB_DEAD;
        totals.busy += state >= SB_READING && state <= SB_CLOSING;
    }
    return totals;
}

bool sb_scoreboard_accepts(const struct sb_scoreboard *board)
{
    bool accepts = GET(board->stopping) == 0 || GET(board->accepting) > 0;
    /* A loop that handles a request itself will find the stop when it looks up. */
    for (unsigned i = 0; !accepts && i < board->slot_count; i++) {
        const struct sb_slot *slot = sb_board_slot(board, i);
        uint32_t state = GET(slot->state);
        accepts = (state == SB_STARTING || state == SB_WAITING) && GET(slot->accepts);
    }
    return accepts;
}

const struct sb_durations *sb_scoreboard_durations(const struct sb_scoreboard *board, unsigned n)
{
    return board->trace_room > 0 ? sb_board_durations(board, n) : NULL;
}

/* --- the trace ---------------------------------------------------------------------------------------------------- */

/* Whether the n-th event is whole, and not another one by now: its time is the same before and after it was read, and
 * its lap is the right one. */
static bool copy_event(const struct sb_scoreboard *board, uint64_t n, struct sb_trace_event *ret_event)
{
    const struct sb_trace_event *event = sb_board_ring(board) + (n & (board->trace_room - 1));
    uint64_t time_ns = __atomic_load_n(&event->time_ns, __ATOMIC_ACQUIRE);
    const union sb_trace_word word = { .bits = __atomic_load_n((const uint64_t *)&event->slot, __ATOMIC_ACQUIRE) };
    if (time_ns == 0 || GET(event->time_ns) != time_ns || word.lap != (uint8_t)(n >> board->trace_bits))
        return false;
    *ret_event = (struct sb_trace_event){ .time_ns = time_ns, .slot = word.slot, .port = word.port,
                                          .state = word.state, .lap = word.lap };
    return word.slot < board->slot_count;
}

static void miss(struct sb_trace_reader *reader, uint64_t until)
{
    reader->missed += until - reader->next;
    reader->next = until;
}

unsigned sb_trace_read(struct sb_trace_reader *reader, struct sb_trace_event *events, unsigned room)
{
    const struct sb_scoreboard *board = reader->board;
    unsigned read = 0;
    uint64_t count;
    while (read < room && reader->next < (count = GET(board->trace_count))) {
        if (count - reader->next > board->trace_room)
            miss(reader, count - board->trace_room);
        if (copy_event(board, reader->next, &events[read])) {
            reader->next++;
            read++;
        } else if (reader->unfinished == reader->next + 1) {
            miss(reader, reader->next + 1);
        } else if (GET(board->trace_count) - reader->next <= board->trace_room) {
            reader->unfinished = reader->next + 1;
            break;
        }
    }
    return read;
}

/* --- finding one -------------------------------------------------------------------------------------------------- */

/* A memfd among the descriptors of a process: /proc/PID/fd/N is a link to "/memfd:NAME (deleted)". */
static int find_memfd(int folder_fd, const char *name, int flags)
{
    int found = -ENOENT;
    DIR *folder = fdopendir(folder_fd);
    if (!folder) {
        int r = -errno;
        close(folder_fd);
        return r;
    }
    for (struct dirent *entry; found == -ENOENT && (entry = readdir(folder)) != NULL;) {
        char target[64] = "", wanted[64];
        snprintf(wanted, sizeof wanted, "/memfd:%s", name);
        if (readlinkat(dirfd(folder), entry->d_name, target, sizeof target - 1) < 0)
            continue;
        if (strncmp(target, wanted, strlen(wanted)) == 0)
            found = openat(dirfd(folder), entry->d_name, flags | O_CLOEXEC);
        if (found == -1)
            found = -errno;
    }
    closedir(folder);
    return found;
}

static int open_memfd(pid_t pid, const char *name, int flags)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    int folder_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return folder_fd < 0 ? -errno : find_memfd(folder_fd, name, flags);
}

static int map_board(int fd, int protection, const struct sb_scoreboard **ret_board)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return -errno;
    if ((size_t)status.st_size < SB_BOARD_HEADER_SIZE)
        return -EPROTO;
    struct sb_scoreboard *board = mmap(NULL, status.st_size, protection, MAP_SHARED, fd, 0);
    if (board == MAP_FAILED)
        return -errno;
    if (board->magic != SB_SCOREBOARD_MAGIC || board->version != SB_SCOREBOARD_VERSION ||
        board->slot_size != sizeof(struct sb_slot) ||
        (board->trace_room > 0 && board->trace_room != UINT64_C(1) << (board->trace_bits & 63)) ||
        sb_board_size(board->slot_count, board->trace_room) != (uint64_t)status.st_size) {
        munmap(board, status.st_size);
        return -EPROTO;
    }
    *ret_board = board;
    return 0;
}

int sb_board_map(int fd, const struct sb_scoreboard **ret_board)
{
    return map_board(fd, PROT_READ, ret_board);
}

static void switch_slots(struct sb_scoreboard *board, bool on)
{
    __atomic_store_n(&board->tracing, on, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < board->slot_count; i++) {
        struct sb_slot *slot = sb_board_slot(board, i);
        if (on && GET(slot->traced) == 0) {         /* what began unseen has no duration */
            __atomic_store_n(&sb_board_durations(board, i)->since_ns, 0, __ATOMIC_RELAXED);
            __atomic_store_n(&sb_board_durations(board, i)->begun_ns, 0, __ATOMIC_RELAXED);
        }
        __atomic_store_n(&slot->traced, on ? i + 1 : 0, __ATOMIC_RELEASE);
    }
}

int sb_trace_switch(pid_t pid, bool on)
{
    const struct sb_scoreboard *board;
    int fd = open_memfd(pid, SB_BOARD_NAME, O_RDWR), r = fd < 0 ? fd : map_board(fd, PROT_READ | PROT_WRITE, &board);
    if (fd >= 0)
        close(fd);
    if (r < 0)
        return r;
    if (board->trace_room > 0)
        switch_slots((struct sb_scoreboard *)board, on);
    r = board->trace_room > 0 ? 0 : -EOPNOTSUPP;
    sb_scoreboard_close(board);
    return r;
}

/* fd: the board's, or -errno. */
static int map_and_close(int fd, const struct sb_scoreboard **ret_board)
{
    if (fd < 0)
        return fd;
    int r = sb_board_map(fd, ret_board);
    close(fd);
    return r;
}

int sb_scoreboard_open(pid_t pid, const struct sb_scoreboard **ret_board)
{
    struct sb_ledger ledger;
    int r = sb_ledger_read(pid, &ledger);
    if (r == -ENOENT)
        return map_and_close(open_memfd(pid, SB_BOARD_NAME, O_RDONLY), ret_board);
    const struct sb_ledger_entry *serving = r == 0 ? sb_ledger_serving(&ledger) : NULL;
    if (r < 0 || !serving)
        return r < 0 ? r : -ENOENT;
    return sb_ledger_open_board(&ledger, serving, ret_board);
}

void sb_scoreboard_close(const struct sb_scoreboard *board)
{
    if (board)
        munmap((void *)board, sb_board_size(board->slot_count, board->trace_room));
}

/* --- generations -------------------------------------------------------------------------------------------------- */

const char *sb_generation_state_name(uint32_t state)
{
    static const char *const names[] = { "none", "starting", "ready", "serving", "retiring" };
    return state < sizeof names / sizeof *names ? names[state] : "unknown";
}

/* The number behind is not read before any of it. */
static void copy_words(const struct sb_ledger *shared, struct sb_ledger *ret_ledger)
{
    _Static_assert(sizeof *shared % sizeof(uint64_t) == 0, "whole words");
    const uint64_t *from = (const void *)shared;
    for (size_t i = 0; i < sizeof *shared / sizeof *from; i++) {
        uint64_t word = __atomic_load_n(&from[i], __ATOMIC_ACQUIRE);
        memcpy((char *)ret_ledger + i * sizeof word, &word, sizeof word);
    }
}

/* Until nobody has written meanwhile: its writer only ever copies memory in between, unless it is no supervisor at all. */
static int copy_ledger(const struct sb_ledger *shared, struct sb_ledger *ret_ledger)
{
    for (int tries = 0; tries < 10000; tries++) {
        uint32_t before = __atomic_load_n(&shared->sequence, __ATOMIC_ACQUIRE);
        copy_words(shared, ret_ledger);
        if (before == GET(shared->sequence) && before % 2 == 0)
            return 0;
    }
    return -EPROTO;
}

static int read_ledger(int fd, struct sb_ledger *ret_ledger)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return -errno;
    if (status.st_size != sizeof *ret_ledger)
        return -EPROTO;
    const struct sb_ledger *shared = mmap(NULL, sizeof *shared, PROT_READ, MAP_SHARED, fd, 0);
    if (shared == MAP_FAILED)
        return -errno;
    bool good = shared->magic == SB_LEDGER_MAGIC && shared->version == SB_LEDGER_VERSION;
    int r = good ? copy_ledger(shared, ret_ledger) : -EPROTO;
    munmap((void *)shared, sizeof *shared);
    return r;
}

int sb_ledger_read(pid_t pid, struct sb_ledger *ret_ledger)
{
    int fd = open_memfd(pid, SB_LEDGER_NAME, O_RDONLY);
    if (fd < 0)
        return fd;
    int r = read_ledger(fd, ret_ledger);
    close(fd);
    return r;
}

/* The next supervisor in /proc: a generation has its ledger open, too. False: there is none. */
static bool next_ledger(DIR *proc, struct sb_ledger *ret_ledger)
{
    for (struct dirent *entry; (entry = readdir(proc)) != NULL;) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 0 && sb_ledger_read(pid, ret_ledger) == 0 && ret_ledger->pid == pid)
            return true;
    }
    return false;
}

int sb_ledger_find(const char *name, struct sb_ledger *ret_ledger)
{
    int r = -ENOENT;
    struct sb_ledger ledger;
    DIR *proc = opendir("/proc");
    if (!proc)
        return -errno;
    while (r < 0 && next_ledger(proc, &ledger))
        if (strcmp(ledger.name, name) == 0) {
            *ret_ledger = ledger;
            r = 0;
        }
    closedir(proc);
    return r;
}

int sb_ledger_list(pid_t *ret_pids, unsigned room)
{
    unsigned count = 0;
    struct sb_ledger ledger;
    DIR *proc = opendir("/proc");
    if (!proc)
        return -errno;
    for (; next_ledger(proc, &ledger); count++)
        if (count < room)
            ret_pids[count] = ledger.pid;
    closedir(proc);
    return (int)count;
}

const struct sb_ledger_entry *sb_ledger_serving(const struct sb_ledger *ledger)
{
    for (unsigned i = 0; i < SB_GENERATIONS_MAX; i++)
        if (ledger->entries[i].state == SB_GENERATION_SERVING)
            return &ledger->entries[i];
    return NULL;
}

int sb_ledger_open_board(const struct sb_ledger *ledger, const struct sb_ledger_entry *entry,
                         const struct sb_scoreboard **ret_board)
{
    char path[48];
    if (entry->board_fd < 0)
        return -ENOENT;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)ledger->pid, (int)entry->board_fd);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return map_and_close(fd < 0 ? -errno : fd, ret_board);
}

struct sb_totals sb_ledger_totals(const struct sb_ledger *ledger)
{
    const struct sb_scoreboard *board;
    struct sb_totals all = { .served = ledger->served, .errors = ledger->errors, .left = ledger->left,
                             .truncated = ledger->truncated, .held_up = ledger->held_up };
    for (unsigned i = 0; i < SB_GENERATIONS_MAX; i++) {
        if (ledger->entries[i].state == SB_GENERATION_NONE ||
            sb_ledger_open_board(ledger, &ledger->entries[i], &board) < 0)
            continue;
        struct sb_totals one = sb_scoreboard_totals(board);
        all.served += one.served;
        all.errors += one.errors;
        all.left += one.left;
        all.truncated += one.truncated;
        all.held_up += one.held_up;
        all.workers += one.workers;
        all.busy += one.busy;
        sb_scoreboard_close(board);
    }
    return all;
}
