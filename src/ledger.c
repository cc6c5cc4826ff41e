#include "ledger.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ground/clock.h"
#include "ground/descriptor.h"
#include "scoreboard.h"

int sb_ledger_open(struct sb_ledger_book *book, const char *name, const char *control)
{
    book->fd = memfd_create(SB_LEDGER_NAME, MFD_CLOEXEC);
    if (book->fd < 0 || ftruncate(book->fd, sizeof *book->shared) < 0)
        return -errno;
    void *memory = mmap(NULL, sizeof *book->shared, PROT_READ | PROT_WRITE, MAP_SHARED, book->fd, 0);
    if (memory == MAP_FAILED)
        return -errno;
    struct sb_ledger *ledger = book->shared = memory;
    ledger->version = SB_LEDGER_VERSION;
    ledger->pid = getpid();
    ledger->started_ns = sb_now_ns();
    strncpy(ledger->name, name ? name : "", sizeof ledger->name - 1);
    strncpy(ledger->control, control ? control : "", sizeof ledger->control - 1);
    __atomic_store_n(&ledger->magic, SB_LEDGER_MAGIC, __ATOMIC_RELEASE);
    return 0;
}

int sb_ledger_reopen(struct sb_ledger_book *book, int fd)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return -errno;
    if (status.st_size != sizeof *book->shared)
        return -EPROTO;
    struct sb_ledger *ledger = mmap(NULL, sizeof *ledger, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (ledger == MAP_FAILED)
        return -errno;
    book->shared = ledger;
    book->fd = fd;
    return ledger->magic == SB_LEDGER_MAGIC && ledger->version == SB_LEDGER_VERSION ? 0 : -EPROTO;
}

void sb_ledger_close(struct sb_ledger_book *book)
{
    if (book->shared)
        munmap(book->shared, sizeof *book->shared);
    book->shared = NULL;
    sb_fd_close(&book->fd);
}

/* Readers take the copy again that they began while the number was odd, or another (a seqlock). */
static void begin(struct sb_ledger *ledger)
{
    __atomic_fetch_add(&ledger->sequence, 1, __ATOMIC_ACQ_REL);     /* what follows is not written before it */
}

static void end(struct sb_ledger *ledger)
{
    __atomic_store_n(&ledger->sequence, ledger->sequence + 1, __ATOMIC_RELEASE);
}

void sb_ledger_write(struct sb_ledger_book *book, unsigned n, const struct sb_ledger_entry *entry)
{
    begin(book->shared);
    book->shared->entries[n] = *entry;
    end(book->shared);
}

void sb_ledger_settle(struct sb_ledger_book *book, unsigned n, const struct sb_scoreboard *board)
{
    struct sb_ledger *ledger = book->shared;
    const struct sb_totals totals = board ? sb_scoreboard_totals(board) : (struct sb_totals){ 0 };
    begin(ledger);
    ledger->entries[n] = (struct sb_ledger_entry){ .board_fd = -1 };
    ledger->ended++;
    ledger->served += totals.served;
    ledger->errors += totals.errors;
    ledger->left += totals.left;
    ledger->truncated += totals.truncated;
    ledger->held_up += totals.held_up;
    end(ledger);
}
