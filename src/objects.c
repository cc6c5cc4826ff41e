#include "objects.h"

#include <stdarg.h>

/* --- a server ----------------------------------------------------------------------------------------------------- */

void sb_server_log(const struct sb_server *server, enum sb_log_level level, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    sb_log_vline(&server->log, level, format, arguments);
    va_end(arguments);
}

const char *sb_server_address(const struct sb_server *server, unsigned n)
{
    for (unsigned i = 0; i < server->n_listeners; i++)
        if (!server->listeners[i]->further && n-- == 0)
            return server->listeners[i]->text;
    return NULL;
}

void *sb_server_data(const struct sb_server *server)
{
    return server->config.data;
}

const struct sb_scoreboard *sb_server_scoreboard(const struct sb_server *server)
{
    return server->crew.board;
}

void sb_server_ref(struct sb_server *server)
{
    atomic_fetch_add(&server->references, 1);
}

void sb_server_unref(struct sb_server *server)
{
    if (atomic_fetch_sub(&server->references, 1) == 1)
        server->free(server);
}

/* --- a listener --------------------------------------------------------------------------------------------------- */

struct sb_server *sb_listener_server(const struct sb_listener *listener)
{
    return listener->server;
}

int sb_listener_fileno(const struct sb_listener *listener)
{
    return listener->fds ? listener->fds[sb_worker.index] : listener->fd;
}

/* --- a request ---------------------------------------------------------------------------------------------------- */

struct sb_server *sb_request_server(const struct sb_request *request)
{
    return request->server;
}

bool sb_is_datagram(const struct sb_request *request)
{
    return request->datagram;
}

int sb_fileno(const struct sb_request *request)
{
    return request->fd;
}

int sb_gettimeout(const struct sb_request *request)
{
    return request->timeout_ms;
}

const struct sb_address *sb_client_address(const struct sb_request *request)
{
    return &request->client;
}
