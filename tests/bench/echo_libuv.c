/* The benchmarks' server on libuv, as its own examples are written, but that writes which succeed at once are done at
 * once. */
#include <uv.h>

#include "echo.h"

struct answer {
    uv_write_t write;
    char text[];
};

static void check(int r, const char *what)
{
    if (r < 0) {
        fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, uv_strerror(r));
        exit(1);
    }
}

/* One buffer for all: it is empty again when the reading callback returns. */
static void lend_buffer(uv_handle_t *connection, size_t suggested_size, uv_buf_t *ret_buffer)
{
    static char buffer[65536];
    (void)connection;
    (void)suggested_size;
    *ret_buffer = uv_buf_init(buffer, sizeof(buffer));
}

static void end_connection(uv_handle_t *connection)
{
    free(connection);
}

static void hang_up(uv_stream_t *connection)
{
    if (!uv_is_closing((uv_handle_t *)connection))
        uv_close((uv_handle_t *)connection, end_connection);
}

static void written(uv_write_t *write, int status)
{
    if (status < 0)
        hang_up(write->handle);
    free(write);
}

static void write_rest(uv_stream_t *connection, const char *text, size_t size)
{
    struct answer *answer = malloc(sizeof(*answer) + size);
    if (!answer)
        die("malloc");
    memcpy(answer->text, text, size);
    uv_buf_t buffer = uv_buf_init(answer->text, (unsigned)size);
    check(uv_write(&answer->write, connection, &buffer, 1, written), "uv_write");
}

static void received(uv_stream_t *connection, ssize_t size, const uv_buf_t *buffer)
{
    if (size < 0) {
        hang_up(connection);
        return;
    }
    upper(buffer->base, (size_t)size);
    uv_buf_t answer = uv_buf_init(buffer->base, (unsigned)size);
    int sent = size > 0 ? uv_try_write(connection, &answer, 1) : 0;
    if (sent < 0 && sent != UV_EAGAIN)
        hang_up(connection);
    else if (sent < size)
        write_rest(connection, buffer->base + (sent > 0 ? sent : 0), (size_t)(size - (sent > 0 ? sent : 0)));
}

static void accept_one(uv_stream_t *listener, int status)
{
    if (status < 0)
        return;
    uv_tcp_t *connection = malloc(sizeof(*connection));
    if (!connection)
        die("malloc");
    check(uv_tcp_init(listener->loop, connection), "uv_tcp_init");
    if (uv_accept(listener, (uv_stream_t *)connection) < 0 ||
        uv_read_start((uv_stream_t *)connection, lend_buffer, received) < 0)
        hang_up((uv_stream_t *)connection);
}

int main(void)
{
    uv_tcp_t listener;
    raise_descriptor_limit();
    end_on_sigterm();
    signal(SIGPIPE, SIG_IGN);
    int fd = listen_somewhere(SOCK_STREAM | SOCK_NONBLOCK);
    check(uv_tcp_init(uv_default_loop(), &listener), "uv_tcp_init");
    check(uv_tcp_open(&listener, fd), "uv_tcp_open");
    check(uv_listen((uv_stream_t *)&listener, SOMAXCONN, accept_one), "uv_listen");
    announce(fd, "libuv");
    return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
