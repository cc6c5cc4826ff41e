#include "passing.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
    struct cmsghdr header;
    char space[CMSG_SPACE(SB_PASSED_MAX * sizeof(int))];
};

int sb_pass(int socket, const void *data, size_t size, const int *fds, unsigned count)
{
    union control control;
    struct iovec bytes = { .iov_base = (void *)data, .iov_len = size };
    struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1 };
    if (count > 0) {
        memset(&control, 0, CMSG_SPACE(count * sizeof *fds));
        control.header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
                                           .cmsg_len = CMSG_LEN(count * sizeof *fds) };
        memcpy(CMSG_DATA(&control.header), fds, count * sizeof *fds);
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(count * sizeof *fds);
    }
    return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

ssize_t sb_take_passed(int socket, int flags, void *data, size_t room, int *fds, unsigned *ret_count)
{
    union control control;
    struct iovec bytes = { .iov_base = data, .iov_len = room };
    struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control,
                              .msg_controllen = sizeof control };
    ssize_t n = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return -errno;
    const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    unsigned count = header && header->cmsg_type == SCM_RIGHTS ? (header->cmsg_len - CMSG_LEN(0)) / sizeof *fds : 0;
    if (count > 0)
        memcpy(fds, CMSG_DATA(header), count * sizeof *fds);
    while (message.msg_flags & MSG_CTRUNC && count > 0)
        close(fds[--count]);
    *ret_count = count;
    return n;
}
