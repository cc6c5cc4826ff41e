#include "learn.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>
#include "../clock.h"

#define ANSWER_SIZE_MAX (16 * 1024 * 1024)
#define ROOM_AT_FIRST   (256 * 1024)    /* larger than any datagram */

struct lesson {
    int fd;
    uint64_t end_ns;
    char *answer;
    size_t size, room;
};

/* Returns 0, or -ETIMEDOUT when the time is up. */
static int wait_for(const struct lesson *lesson, short events)
{
    struct pollfd poll_fd = { .fd = lesson->fd, .events = events };
    int left_ms = clock_left_ms(lesson->end_ns);
    if (left_ms == 0)
        return -ETIMEDOUT;
    return poll(&poll_fd, 1, left_ms) < 0 && errno != EINTR ? -errno : 0;
}

static int ask(struct lesson *lesson, const char *question, size_t size)
{
    while (size > 0) {
        ssize_t n = send(lesson->fd, question, size, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return -errno;
        int r = n < 0 ? wait_for(lesson, POLLOUT) : 0;
        if (r < 0)
            return r;
        question += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int make_room(struct lesson *lesson)
{
    if (lesson->size > ANSWER_SIZE_MAX)
        return -EMSGSIZE;
    if (lesson->size < lesson->room)
        return 0;
    size_t room = lesson->room ? 2 * lesson->room : ROOM_AT_FIRST;
    char *answer = realloc(lesson->answer, room);
    if (!answer)
        return -ENOMEM;
    lesson->answer = answer;
    lesson->room = room;
    return 0;
}

static int hear(struct lesson *lesson, bool stream)
{
    for (;;) {
        int r = make_room(lesson);
        if (r < 0)
            return r;
        ssize_t n = recv(lesson->fd, lesson->answer + lesson->size, lesson->room - lesson->size, 0);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return -errno;
        lesson->size += n > 0 ? (size_t)n : 0;
        if (n == 0 || (n > 0 && !stream))
            return lesson->size > 0 ? 0 : -ENODATA;
        r = n < 0 ? wait_for(lesson, POLLIN) : 0;
        if (r < 0)
            return r;
    }
}

static int learn(struct lesson *lesson, const struct sb_address *address, const char *question, size_t size)
{
    bool stream = address->socktype == SOCK_STREAM;
    lesson->fd = sb_address_connect(address, 1, clock_left_ms(lesson->end_ns), NULL, NULL, NULL);
    if (lesson->fd < 0)
        return lesson->fd;
    int r = ask(lesson, question, size);
    if (r == 0 && stream && shutdown(lesson->fd, SHUT_WR) < 0 && errno != ENOTCONN)
        r = -errno;
    return r < 0 ? r : hear(lesson, stream);
}

int load_learn(const struct sb_address *address, const char *question, size_t question_size, int timeout_ms,
               char **ret_answer, size_t *ret_size)
{
    struct lesson lesson = { .fd = -1, .end_ns = clock_in_ms((unsigned)timeout_ms) };
    int r = learn(&lesson, address, question, question_size);
    if (lesson.fd >= 0)
        close(lesson.fd);
    if (r < 0) {
        free(lesson.answer);
        return r;
    }
    *ret_answer = lesson.answer;
    *ret_size = lesson.size;
    return 0;
}
