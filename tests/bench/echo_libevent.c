/* The benchmarks' server on libevent, as its own examples are written: bufferevents. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>

#include "echo.h"

static void received(struct bufferevent *connection, void *unused)
{
    char text[4096];
    size_t size;
    (void)unused;
    while ((size = bufferevent_read(connection, text, sizeof(text))) > 0) {
        upper(text, size);
        bufferevent_write(connection, text, size);
    }
}

/* An error, or the end of the caller's input. */
static void ended(struct bufferevent *connection, short what, void *unused)
{
    (void)what;
    (void)unused;
    bufferevent_free(connection);
}

static void accepted(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *caller, int size,
                     void *unused)
{
    (void)caller;
    (void)size;
    (void)unused;
    struct bufferevent *connection = bufferevent_socket_new(evconnlistener_get_base(listener), fd,
                                                            BEV_OPT_CLOSE_ON_FREE);
    if (!connection)
        die("bufferevent_socket_new");
    bufferevent_setcb(connection, received, NULL, ended, NULL);
    bufferevent_enable(connection, EV_READ | EV_WRITE);
}

int main(void)
{
    raise_descriptor_limit();
    end_on_sigterm();
    signal(SIGPIPE, SIG_IGN);
    int fd = listen_somewhere(SOCK_STREAM | SOCK_NONBLOCK);
    struct event_base *base = event_base_new();
    if (!base || !evconnlistener_new(base, accepted, NULL, LEV_OPT_CLOSE_ON_EXEC, 0, fd))
        die("libevent");
    announce(fd, "libevent");
    return event_base_dispatch(base);
}
