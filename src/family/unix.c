/* UnixStreamServer and UnixDatagramServer: TCPServer and UDPServer at a path (unix(7)). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tcp.h"

static bool somebody_listens(const struct sb_address *address)
{
    int fd = socket(AF_UNIX, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return true;
    int r = connect(fd, &address->sa, address->size);
    bool refused = r < 0 && errno == ECONNREFUSED;
    close(fd);
    return !refused;
}

/* Removes a socket's file that nobody listens on any more. -EADDRINUSE: somebody does, -EEXIST: not a socket. */
static int clear_path(const struct sb_address *address)
{
    const char *path = address->un.sun_path;
    struct stat status;
    if (path[0] == '\0' || lstat(path, &status) < 0)
        return 0;
    if (!S_ISSOCK(status.st_mode))
        return -EEXIST;
    if (somebody_listens(address))
        return -EADDRINUSE;
    return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

/* Which file we have made, to remove that and no other; one that we could not tell goes at once. */
static int know_file(struct sb_listener *listener, char *path)
{
    struct stat status;
    if (lstat(path, &status) < 0) {
        int r = -errno;
        unlink(path);
        free(path);
        return r;
    }
    listener->device = status.st_dev;
    listener->inode = status.st_ino;
    listener->unlink_path = path;
    return 0;
}

/* It was made so that nobody could come in. */
static int admit(const struct sb_listener *listener, const char *path)
{
    const struct sb_config *config = &listener->server->config;
    int mode = config->socket_mode >= 0 ? config->socket_mode : 0660;
    if (!sb_tcp_admits_by_file(listener))
        return 0;
    if ((config->socket_group < 0 || lchown(path, -1, config->socket_group) == 0) && chmod(path, mode) == 0)
        return 0;
    int r = -errno;
    unlink(path);
    return r;
}

static int server_bind(struct sb_listener *listener)
{
    if (listener->address.un.sun_path[0] == '\0')
        return sb_tcp_bind(listener);
    char *path = strdup(listener->address.un.sun_path);
    int r = path ? clear_path(&listener->address) : -ENOMEM;
    if (r == 0)
        r = sb_tcp_bind(listener);
    if (r == 0)
        r = admit(listener, path);
    if (r == 0)
        return know_file(listener, path);
    free(path);
    return r;
}

const struct sb_class sb_unix_stream_class = {
    .name = "unix",
    .traits = SB_FAMILY,
    .server_bind = server_bind,
};

const struct sb_class sb_unix_datagram_class = {
    .name = "unixgram",
    .traits = SB_FAMILY | SB_DATAGRAM,
    .server_bind = server_bind,
};
