#include "scoreboard.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
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

const struct sb_trace_event *sb_scoreboard_trace(const struct sb_scoreboard *board, unsigned *ret_count)
{
    uint64_t count = GET(board->trace_count);
    *ret_count = count < board->trace_room ? count : board->trace_room;
    return sb_board_trace(board);
}

/* --- finding one -------------------------------------------------------------------------------------------------- */

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
        if (strncmp(target, "/memfd:" SB_BOARD_NAME, strlen("/memfd:" SB_BOARD_NAME)) == 0)
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
    if ((size_t)status.st_size < SB_BOARD_HEADER_SIZE)
        return -EPROTO;
    struct sb_scoreboard *board = mmap(NULL, status.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (board == MAP_FAILED)
        return -errno;
    if (board->magic != SB_SCOREBOARD_MAGIC || board->version != SB_SCOREBOARD_VERSION ||
        board->slot_size != sizeof(struct sb_slot) ||
        sb_board_size(board->slot_count, board->trace_room) != (uint64_t)status.st_size) {
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
        munmap((void *)board, sb_board_size(board->slot_count, board->trace_room));
}
