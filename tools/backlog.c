#include "backlog.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { INODES_MAX = 4096 };

struct search {
    unsigned long inodes[INODES_MAX];   /* of the process's sockets, in order */
    size_t n_inodes;
    int found, waiting;
};

/* --- its sockets -------------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    unsigned long left = *(const unsigned long *)a, right = *(const unsigned long *)b;
    return (left > right) - (left < right);
}

static int find_inodes(pid_t pid, struct search *search)
{
    char path[32], target[64];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *folder = opendir(path);
    if (!folder)
        return errno == ENOENT ? -ESRCH : -errno;
    for (struct dirent *entry; search->n_inodes < INODES_MAX && (entry = readdir(folder)) != NULL;) {
        ssize_t length = readlinkat(dirfd(folder), entry->d_name, target, sizeof target - 1);
        target[length > 0 ? length : 0] = '\0';
        if (sscanf(target, "socket:[%lu]", &search->inodes[search->n_inodes]) == 1)
            search->n_inodes++;
    }
    closedir(folder);
    qsort(search->inodes, search->n_inodes, sizeof *search->inodes, compare);
    return 0;
}

static void count(struct search *search, unsigned long inode, unsigned waiting)
{
    if (!bsearch(&inode, search->inodes, search->n_inodes, sizeof inode, compare))
        return;
    search->found++;
    search->waiting += (int)waiting;
}

/* --- what the kernel tells ---------------------------------------------------------------------------------------- */

static void take_inet(struct search *search, const struct nlmsghdr *header)
{
    const struct inet_diag_msg *message = NLMSG_DATA(header);
    count(search, message->idiag_inode, message->idiag_rqueue);
}

static void take_unix(struct search *search, const struct nlmsghdr *header)
{
    const struct unix_diag_msg *message = NLMSG_DATA(header);
    unsigned left = header->nlmsg_len - NLMSG_LENGTH(sizeof *message);
    for (const struct rtattr *attribute = (const void *)(message + 1); RTA_OK(attribute, left);
         attribute = RTA_NEXT(attribute, left))
        if (attribute->rta_type == UNIX_DIAG_RQLEN)
            count(search, message->udiag_ino, ((const struct unix_diag_rqlen *)RTA_DATA(attribute))->udiag_rqueue);
}

/* One answer of many, of which each has several messages. 1: there are more. */
static int read_some(int fd, struct search *search, void (*take)(struct search *, const struct nlmsghdr *))
{
    _Alignas(struct nlmsghdr) char buffer[32768];
    ssize_t size = recv(fd, buffer, sizeof buffer, 0);
    if (size < 0)
        return errno == EINTR ? 1 : -errno;
    unsigned left = (unsigned)size;
    for (const struct nlmsghdr *header = (const void *)buffer; NLMSG_OK(header, left);
         header = NLMSG_NEXT(header, left)) {
        if (header->nlmsg_type == NLMSG_DONE)
            return 0;
        if (header->nlmsg_type == NLMSG_ERROR)
            return ((const struct nlmsgerr *)NLMSG_DATA(header))->error;
        take(search, header);
    }
    return 1;
}

static int ask(int fd, const void *request, size_t size, struct search *search,
               void (*take)(struct search *, const struct nlmsghdr *))
{
    struct nlmsghdr header = { .nlmsg_len = NLMSG_LENGTH(size), .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                               .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP };
    struct iovec parts[] = { { &header, sizeof header }, { (void *)request, size } };
    struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
    const struct msghdr message = { .msg_name = &kernel, .msg_namelen = sizeof kernel, .msg_iov = parts,
                                    .msg_iovlen = 2 };
    int r = sendmsg(fd, &message, 0) < 0 ? -errno : 1;
    while (r == 1)
        r = read_some(fd, search, take);
    return r;
}

static int ask_all(int fd, struct search *search)
{
    static const int families[] = { AF_INET, AF_INET6 };
    const struct unix_diag_req files = { .sdiag_family = AF_UNIX, .udiag_states = 1 << TCP_LISTEN,
                                         .udiag_show = UDIAG_SHOW_RQLEN };
    int r = 0;
    for (int i = 0; r == 0 && i < 2; i++) {
        const struct inet_diag_req_v2 request = { .sdiag_family = families[i], .sdiag_protocol = IPPROTO_TCP,
                                                  .idiag_states = 1 << TCP_LISTEN };
        r = ask(fd, &request, sizeof request, search, take_inet);
    }
    int unix_r = ask(fd, &files, sizeof files, search, take_unix);
    return search->found > 0 ? 0 : r < 0 ? r : unix_r;
}

int backlog_count(pid_t pid)
{
    struct search search = { .n_inodes = 0 };
    int r = find_inodes(pid, &search);
    int fd = r < 0 ? -1 : socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (r == 0)
        r = fd < 0 ? -errno : ask_all(fd, &search);
    if (fd >= 0)
        close(fd);
    return r < 0 ? r : search.found > 0 ? search.waiting : -ENOENT;
}
