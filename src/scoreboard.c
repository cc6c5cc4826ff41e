#include "worker.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BOARD_NAME "switchboard-scoreboard"
#define HEADER_SIZE ((sizeof(struct sb_scoreboard) + 127) / 128 * 128)

_Static_assert(sizeof(struct sb_slot) == 128, "two cache lines, so that neighbours do not share one");
_Static_assert(sizeof(pthread_mutex_t) <= sizeof((struct sb_scoreboard){ 0 }.accept_lock), "the mutex fits");

_Thread_local struct sb_worker sb_worker;

static _Thread_local struct sb_slot unread_slot;

#define PUT(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELAXED)
#define GET(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)

struct sb_slot *sb_slot_current(void)
{
    return sb_worker.slot ? sb_worker.slot : &unread_slot;
}

static struct sb_slot *slot_at(const struct sb_scoreboard *board, unsigned n)
{
    return (struct sb_slot *)((char *)board + HEADER_SIZE) + n;
}

static uint64_t size_of(uint32_t slot_count, uint32_t trace_room)
{
    return HEADER_SIZE + slot_count * (uint64_t)sizeof(struct sb_slot) +
           trace_room * (uint64_t)sizeof(struct sb_trace_event);
}

static struct sb_trace_event *trace_of(const struct sb_scoreboard *board)
{
    return (struct sb_trace_event *)slot_at(board, board->slot_count);
}

int sb_board_init(struct sb_server *server)
{
    unsigned count = server->slots + server->config.max_connections;
    server->board_size = size_of(count, server->config.trace);
    server->board_fd = memfd_create(BOARD_NAME, MFD_CLOEXEC);
    if (server->board_fd < 0 || ftruncate(server->board_fd, server->board_size) < 0)
        return -errno;
    void *memory = mmap(NULL, server->board_size, PROT_READ | PROT_WRITE, MAP_SHARED, server->board_fd, 0);
    if (memory == MAP_FAILED)
        return -errno;
    struct sb_scoreboard *board = server->board = memory;
    board->version = SB_SCOREBOARD_VERSION;
    board->slot_count = count;
    board->slot_size = sizeof(struct sb_slot);
    board->trace_room = server->config.trace;
    board->pid = getpid();
    board->started_ns = sb_now_ns();
    strncpy(board->strategy, server->strategy, sizeof board->strategy - 1);
    strncpy(board->handler, server->handler_name, sizeof board->handler - 1);
    __atomic_store_n(&board->magic, SB_SCOREBOARD_MAGIC, __ATOMIC_RELEASE);
    return 0;
}

void sb_board_finish(struct sb_server *server)
{
    if (server->board)
        munmap(server->board, server->board_size);
    if (server->board_fd >= 0)
        close(server->board_fd);
    server->board = NULL;
    server->board_fd = -1;
}

/* --- the trace ---------------------------------------------------------------------------------------------------- */

static void add_event(const struct sb_slot *slot, enum sb_state state, uint16_t port)
{
    uint32_t number = slot->traced - 1;
    struct sb_scoreboard *board = (struct sb_scoreboard *)((char *)(slot - number) - HEADER_SIZE);
    uint64_t n = __atomic_fetch_add(&board->trace_count, 1, __ATOMIC_RELAXED);
    if (n >= board->trace_room)
        return;
    struct sb_trace_event *event = trace_of(board) + n;
    event->slot = number;
    event->port = port;
    event->state = state;
    __atomic_store_n(&event->time_ns, sb_now_ns(), __ATOMIC_RELEASE);
}

/* Of a slot that has just been claimed, and is SB_STARTING already. */
static void begin_trace(const struct sb_scoreboard *board, struct sb_slot *slot, unsigned number)
{
    if (board->trace_room == 0)
        return;
    PUT(slot->traced, number + 1);
    add_event(slot, SB_STARTING, 0);
}

void sb_slot_trace(struct sb_slot *slot, enum sb_state state)
{
    if (state < SB_READING || state > SB_CLOSING)
        PUT(slot->port, 0);
    if (GET(slot->state) != state)
        add_event(slot, state, GET(slot->port));
}

static uint16_t port_of(const struct sb_address *address)
{
    _Static_assert(offsetof(struct sockaddr_in, sin_port) == offsetof(struct sockaddr_in6, sin6_port), "either");
    int family = address->sa.sa_family;
    return family == AF_INET || family == AF_INET6 ? ntohs(address->in.sin_port) : 0;
}

static void note_port(struct sb_slot *slot, const struct sb_address *peer)
{
    if (slot->traced)
        PUT(slot->port, port_of(peer));
}

void sb_slot_accept(struct sb_slot *slot, const struct sb_address *peer)
{
    if (slot->traced)
        add_event(slot, SB_ACCEPTED, port_of(peer));
}

const struct sb_trace_event *sb_scoreboard_trace(const struct sb_scoreboard *board, unsigned *ret_count)
{
    uint64_t count = GET(board->trace_count);
    *ret_count = count < board->trace_room ? count : board->trace_room;
    return trace_of(board);
}

/* --- a worker's slot ---------------------------------------------------------------------------------------------- */

/* A slot's numbers are those of one process: others' are taken when there is no other left. */
static bool claim(struct sb_slot *slot, pid_t process, bool others)
{
    uint32_t state = GET(slot->state);
    pid_t pid = GET(slot->pid);
    return (state == SB_DEAD || (state == SB_FREE && (others || pid <= 0 || pid == process))) &&
           __atomic_compare_exchange_n(&slot->state, &state, SB_STARTING, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

struct sb_slot *sb_slot_claim(struct sb_server *server, unsigned worker)
{
    unsigned count = server->board->slot_count, hint = atomic_load_explicit(&server->slot_hint, memory_order_relaxed);
    for (unsigned i = 0; i < 2 * count; i++) {
        unsigned n = (hint + i) % count;
        struct sb_slot *slot = slot_at(server->board, n);
        if (claim(slot, server->process, i >= count)) {
            atomic_store_explicit(&server->slot_hint, n + 1, memory_order_relaxed);
            PUT(slot->worker, worker);
            PUT(slot->retired, 0);
            begin_trace(server->board, slot, n);
            sb_slot_enter(slot, SB_STARTING);
            return slot;
        }
    }
    return &unread_slot;
}

void sb_slot_release(struct sb_server *server, struct sb_slot *slot, enum sb_state last)
{
    if (slot == &unread_slot)
        return;
    sb_slot_enter(slot, SB_CLOSING);
    if (slot->traced)
        sb_slot_trace(slot, last);
    __atomic_store_n(&slot->state, last, __ATOMIC_RELEASE);
    atomic_store_explicit(&server->slot_hint, slot - slot_at(server->board, 0), memory_order_relaxed);
}

void sb_slots_bury(struct sb_server *server, pid_t pid)
{
    for (unsigned i = 0; i < server->board->slot_count; i++) {
        struct sb_slot *slot = slot_at(server->board, i);
        if (GET(slot->pid) != pid)
            continue;
        if (GET(slot->state) == SB_FREE)
            PUT(slot->pid, 0);
        else
            sb_slot_release(server, slot, SB_DEAD);
    }
}

void sb_slot_occupy(const struct sb_server *server, struct sb_slot *slot, pid_t tid)
{
    if (server->process != 0)
        PUT(slot->pid, server->process);
    PUT(slot->tid, tid);
    sb_worker.slot = slot;
}

void sb_slot_sign(struct sb_slot *slot, pid_t pid)
{
    PUT(slot->pid, pid);
}

void sb_slot_begin_request(struct sb_slot *slot, const struct sb_address *peer)
{
    _Static_assert(sizeof(struct sockaddr_in6) == sizeof slot->peer, "any IP address fits");
    memcpy(slot->peer, &peer->in6, sizeof slot->peer);
    note_port(slot, peer);
    sb_slot_enter(slot, SB_HANDLING);
}

void sb_slot_end_request(struct sb_slot *slot, bool failed)
{
    PUT(slot->served, slot->served + 1);
    if (failed)
        PUT(slot->errors, slot->errors + 1);
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

const char *sb_state_name(uint32_t state)
{
    static const char *const names[] = { "free", "starting", "waiting", "reading", "handling", "writing",
                                         "sleeping", "closing", "dead", "accepted" };
    return state < sizeof names / sizeof *names ? names[state] : "unknown";
}

const struct sb_slot *sb_scoreboard_slot(const struct sb_scoreboard *board, unsigned n)
{
    return slot_at(board, n);
}

bool sb_slot_peer(const struct sb_slot *slot, struct sb_address *ret_address)
{
    struct sb_address address;
    memset(&address, 0, sizeof address);
    memcpy(&address.in6, slot->peer, sizeof slot->peer);
    if (address.sa.sa_family == AF_UNSPEC)
        return false;
    address.size = address.sa.sa_family == AF_UNIX ? 0 : sizeof address.in6;
    address.socktype = SOCK_STREAM;
    *ret_address = address;
    return true;
}

struct sb_totals sb_scoreboard_totals(const struct sb_scoreboard *board)
{
    struct sb_totals totals = { 0 };
    for (unsigned i = 0; i < board->slot_count; i++) {
        const struct sb_slot *slot = slot_at(board, i);
        uint32_t state = GET(slot->state);
        totals.served += GET(slot->served);
        totals.errors += GET(slot->errors);
        totals.truncated += GET(slot->truncated);
        totals.held_up += GET(slot->held_up);
        totals.workers += state != SB_FREE && state != SB_DEAD;
        totals.busy += state >= SB_READING && state <= SB_CLOSING;
    }
    return totals;
}

const struct sb_scoreboard *sb_server_scoreboard(const struct sb_server *server)
{
    return server->board;
}

/* The board among the descriptors of a process: /proc/PID/fd/N is a link to "/memfd:NAME (deleted)". */
static int find_board(int folder_fd)
{
    int found = -ENOENT;
    DIR *folder = fdopendir(folder_fd);
    if (!folder) {
        int r = -errno;
        close(folder_fd);
        return r;
    }
    for (struct dirent *entry; found == -ENOENT && (entry = readdir(folder)) != NULL;) {
        char target[64] = "";
        if (readlinkat(dirfd(folder), entry->d_name, target, sizeof target - 1) < 0)
            continue;
        if (strncmp(target, "/memfd:" BOARD_NAME, strlen("/memfd:" BOARD_NAME)) == 0)
            found = openat(dirfd(folder), entry->d_name, O_RDONLY | O_CLOEXEC);
        if (found == -1)
            found = -errno;
    }
    closedir(folder);
    return found;
}

static int map_board(int fd, const struct sb_scoreboard **ret_board)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return -errno;
    if ((size_t)status.st_size < HEADER_SIZE)
        return -EPROTO;
    struct sb_scoreboard *board = mmap(NULL, status.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (board == MAP_FAILED)
        return -errno;
    if (board->magic != SB_SCOREBOARD_MAGIC || board->version != SB_SCOREBOARD_VERSION ||
        board->slot_size != sizeof(struct sb_slot) ||
        size_of(board->slot_count, board->trace_room) != (uint64_t)status.st_size) {
        munmap(board, status.st_size);
        return -EPROTO;
    }
    *ret_board = board;
    return 0;
}

int sb_scoreboard_open(pid_t pid, const struct sb_scoreboard **ret_board)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    int folder_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder_fd < 0)
        return -errno;
    int fd = find_board(folder_fd);
    if (fd < 0)
        return fd;
    int r = map_board(fd, ret_board);
    close(fd);
    return r;
}

void sb_scoreboard_close(const struct sb_scoreboard *board)
{
    if (board)
        munmap((void *)board, size_of(board->slot_count, board->trace_room));
}
