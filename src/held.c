#include "held.h"

#include <errno.h>
#include <linux/filter.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ground/inherited.h"

#define UNIX_SCHEME "unix:"
#define UNIXGRAM_SCHEME "unixgram:"

/* --- one address -------------------------------------------------------------------------------------------------- */

bool sb_held_is_foreign(const struct sb_held *held)
{
    return strncmp(held->requested, SB_INHERITED_PREFIX, strlen(SB_INHERITED_PREFIX)) == 0;
}

/* NULL: it has none. An abstract name has no file either. */
static const char *path_of(const struct sb_held *held)
{
    const char *path = NULL;
    if (sb_held_is_foreign(held))
        return NULL;
    if (strncmp(held->bound, UNIX_SCHEME, strlen(UNIX_SCHEME)) == 0)
        path = held->bound + strlen(UNIX_SCHEME);
    else if (strncmp(held->bound, UNIXGRAM_SCHEME, strlen(UNIXGRAM_SCHEME)) == 0)
        path = held->bound + strlen(UNIXGRAM_SCHEME);
    return path && path[0] != '@' ? path : NULL;
}

static void know_file(struct sb_held *held)
{
    struct stat status;
    const char *path = path_of(held);
    held->file = SB_NO_FILE;
    if (!path)
        return;
    if (lstat(path, &status) < 0) {
        held->file = errno == ENOENT ? SB_NO_FILE : SB_UNKNOWN_FILE;
    } else if (S_ISSOCK(status.st_mode)) {
        held->file = SB_OWN_FILE;
        held->device = status.st_dev;
        held->inode = status.st_ino;
    }
}

/* NULL: it is gone, or another's by now; or why it stays. */
static const char *remove_file(const struct sb_held *held)
{
    struct stat status;
    if (held->file == SB_NO_FILE)
        return NULL;
    if (lstat(path_of(held), &status) < 0)
        return errno == ENOENT ? NULL : strerror(errno);
    if (held->file == SB_UNKNOWN_FILE)
        return "it could not be looked at when it was new, and may be another server's";
    bool ours = status.st_dev == held->device && status.st_ino == held->inode;
    return !ours || unlink(path_of(held)) == 0 || errno == ENOENT ? NULL : strerror(errno);
}

static void free_held(struct sb_held *held)
{
    if (!held)
        return;
    free(held->requested);
    free(held->bound);
    free(held->fds);
    free(held);
}

static struct sb_held *new_held(unsigned call, const char *requested, const char *bound)
{
    struct sb_held *held = calloc(1, sizeof *held);
    if (!held)
        return NULL;
    held->call = call;
    held->requested = strdup(requested);
    held->bound = strdup(bound);
    if (held->requested && held->bound)
        return held;
    free_held(held);
    return NULL;
}

static int add_fds(struct sb_held *held, const int *fds, unsigned count)
{
    int *grown = reallocarray(held->fds, held->count + count, sizeof *fds);
    if (!grown)
        return -ENOMEM;
    memcpy(grown + held->count, fds, count * sizeof *fds);
    held->fds = grown;
    held->count += count;
    return 0;
}

/* --- all ---------------------------------------------------------------------------------------------------------- */

static bool is_same(const struct sb_held *held, unsigned call, const char *requested)
{
    return held->call == call && strcmp(held->requested, requested) == 0;
}

int sb_held_add(struct sb_held_list *list, unsigned call, const char *requested, const char *bound, const int *fds,
                unsigned count)
{
    struct sb_held *last = TAILQ_LAST(list, sb_held_list);
    if (count == 0)
        return 0;
    if (last && is_same(last, call, requested) && strcmp(last->bound, bound) == 0)
        return add_fds(last, fds, count);
    struct sb_held *held = new_held(call, requested, bound);
    int r = held ? add_fds(held, fds, count) : -ENOMEM;
    if (r < 0) {
        free_held(held);
        return r;
    }
    know_file(held);
    TAILQ_INSERT_TAIL(list, held, link);
    return 0;
}

static void close_all(struct sb_held *held)
{
    for (unsigned i = 0; i < held->count; i++)
        close(held->fds[i]);
    held->count = 0;
}

void sb_held_close(struct sb_held_list *list)
{
    struct sb_held *held;
    TAILQ_FOREACH(held, list, link)
        close_all(held);
}

void sb_held_finish(struct sb_held_list *list)
{
    struct sb_held *held;
    while ((held = TAILQ_FIRST(list)) != NULL) {
        TAILQ_REMOVE(list, held, link);
        close_all(held);
        free_held(held);
    }
}

static bool has_its_file(const struct sb_held_list *list, const struct sb_held *wanted)
{
    const struct sb_held *held;
    TAILQ_FOREACH(held, list, link)
        if (strcmp(held->bound, wanted->bound) == 0 ||
            (held->file == SB_OWN_FILE && held->device == wanted->device && held->inode == wanted->inode))
            return true;
    return false;
}

void sb_held_discard(const struct sb_held_list *list, const char *requested, const char *bound)
{
    struct sb_held held = { .requested = (char *)requested, .bound = (char *)bound };
    know_file(&held);
    if (!has_its_file(list, &held))
        remove_file(&held);
}

void sb_held_unlink(const struct sb_held_list *list, const struct sb_held_list *others, sb_held_left *left, void *data)
{
    const struct sb_held *held;
    TAILQ_FOREACH(held, list, link) {
        const char *why = others && has_its_file(others, held) ? NULL : remove_file(held);
        if (why && left)
            left(data, path_of(held), why);
    }
}

/* What the one before knew is true; what lies at a path by now may be another's. */
static void inherit(struct sb_held *held, struct sb_held *before)
{
    held->file = before->file;
    held->device = before->device;
    held->inode = before->inode;
    if (!sb_held_is_foreign(held) || held->count != 1 || before->count != 1)
        return;
    int copy = held->fds[0];
    held->fds[0] = before->fds[0];
    before->fds[0] = copy;
}

static void inherit_all(struct sb_held_list *successors, struct sb_held_list *list)
{
    struct sb_held *held, *before;
    TAILQ_FOREACH(held, successors, link)
        TAILQ_FOREACH(before, list, link)
            if (is_same(before, held->call, held->requested) && strcmp(before->bound, held->bound) == 0)
                inherit(held, before);
}

void sb_held_replace(struct sb_held_list *list, struct sb_held_list *successors, sb_held_left *left, void *data)
{
    inherit_all(successors, list);
    sb_held_unlink(list, successors, left, data);
    sb_held_finish(list);
    TAILQ_CONCAT(list, successors, link);
}

/* Sockets of a group have numbers in the order in which they joined it, and what is tried joined last (socket(7),
 * SO_ATTACH_REUSEPORT_CBPF). */
void sb_held_prefer(const struct sb_held *held)
{
    struct sock_filter choose[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_RANDOM),
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, held->count),
        BPF_STMT(BPF_RET | BPF_A, 0),
    };
    const struct sock_fprog program = { .len = sizeof choose / sizeof *choose, .filter = choose };
    setsockopt(held->fds[0], SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program);
}

void sb_held_spread(const struct sb_held_list *list)
{
    const struct sb_held *held;
    TAILQ_FOREACH(held, list, link)
        if (held->count > 0)
            setsockopt(held->fds[0], SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &(int){ 0 }, sizeof(int));
}

struct sb_held *sb_held_find(const struct sb_held_list *list, unsigned call, const char *requested)
{
    struct sb_held *held;
    TAILQ_FOREACH(held, list, link)
        if (is_same(held, call, requested))
            return held;
    return NULL;
}

struct sb_held *sb_held_next(const struct sb_held *held)
{
    struct sb_held *next = TAILQ_NEXT(held, link);
    return next && is_same(next, held->call, held->requested) ? next : NULL;
}
