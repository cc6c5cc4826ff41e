#include "settings.h"

#include <errno.h>
#include <netinet/tcp.h>

#include "../ground/descriptor.h"

int sb_settings_apply(struct sb_request *request)
{
    const struct sb_attributes *attributes = &request->server->attributes;
    const int on = 1;
    bool is_tcp = !request->datagram && request->client.sa.sa_family != AF_UNIX;
    if (attributes->disable_nagle_algorithm && is_tcp)
        setsockopt(request->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return attributes->timeout_ms != 0 ? sb_settimeout(request, attributes->timeout_ms) : 0;
}

int sb_settimeout(struct sb_request *request, int timeout_ms)
{
    request->timeout_ms = timeout_ms < 0 ? -1 : timeout_ms;
    bool blocks = !request->datagram && !(request->server->traits & SB_YIELDS);
    return blocks ? sb_fd_settimeout(request->fd, timeout_ms) : 0;
}

int sb_getsockopt(const struct sb_request *request, int level, int name, void *value, socklen_t *size)
{
    return getsockopt(request->fd, level, name, value, size) < 0 ? -errno : 0;
}

int sb_setsockopt(struct sb_request *request, int level, int name, const void *value, socklen_t size)
{
    return setsockopt(request->fd, level, name, value, size) < 0 ? -errno : 0;
}
