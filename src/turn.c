#include "turn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>

#include "ground/clock.h"
#include "ground/descriptor.h"

static const char *const names[] = { "shared", "mutex", "flock", "pass", "reuseport" };

int sb_discipline_parse(const char *name)
{
    for (int i = 0; i < 5; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -EINVAL;
}

const char *sb_discipline_name(enum sb_discipline discipline)
{
    return names[discipline];
}

static int init_mutex(pthread_mutex_t *mutex)
{
    pthread_mutexattr_t attributes;
    int r = pthread_mutexattr_init(&attributes);
    if (r != 0)
        return -r;
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    r = pthread_mutex_init(mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return -r;
}

int sb_turn_init(struct sb_turn *turn, enum sb_discipline discipline, void *memory)
{
    *turn = (struct sb_turn){ .discipline = discipline, .mutex = memory, .fd = -1 };
    if (discipline == SB_ACCEPT_MUTEX)
        return init_mutex(turn->mutex);
    if (discipline == SB_ACCEPT_FLOCK) {
        turn->fd = memfd_create("switchboard-accept-lock", MFD_CLOEXEC);
        return turn->fd < 0 ? -errno : 0;
    }
    return 0;
}

void sb_turn_finish(struct sb_turn *turn)
{
    sb_fd_close(&turn->fd);
}

/* flock(2) belongs to an open file description: workers that share one would not exclude each other. */
int sb_turn_join(const struct sb_turn *turn, int *ret_fd)
{
    char path[32];
    int fd = -1;
    if (turn->fd >= 0) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", turn->fd);
        fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd < 0)
            return -errno;
    }
    *ret_fd = fd;
    return 0;
}

void sb_turn_take(const struct sb_turn *turn, int fd)
{
    if (turn->discipline == SB_ACCEPT_MUTEX) {
        if (pthread_mutex_lock(turn->mutex) == EOWNERDEAD)
            pthread_mutex_consistent(turn->mutex);
    } else if (fd >= 0) {
        while (flock(fd, LOCK_EX) < 0 && errno == EINTR)
            sb_nap(1);
    }
}

void sb_turn_leave(const struct sb_turn *turn, int fd)
{
    if (turn->discipline == SB_ACCEPT_MUTEX)
        pthread_mutex_unlock(turn->mutex);
    else if (fd >= 0)
        flock(fd, LOCK_UN);
}
