#include "worker.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "family/batch.h"

#define LINE_BUFFER_SIZE 4096
#define REPLY_SIZE_MAX 65535
#define LOGGED_TEXT_MAX 200

/* Receives and sends that one request may do before the others have their turn. */
#define STREAK_MAX 64

/* How long a datagram's reply is offered to a peer on this machine that does not read, and how often. */
#define FULL_PEER_MS 1000
#define FULL_PEER_RETRY_MS 10

/* --- waiting ------------------------------------------------------------------------------------------------------ */

static int wait_until(struct sb_request *request, int fd, short events, int64_t deadline_ns)
{
    return methods(request->server)->wait(request, fd, events, deadline_ns);
}

static bool is_nonblocking(const struct sb_request *request)
{
    return request->datagram || (request->server->traits & SB_YIELDS);
}

/* When the operation that has just entered its state on the scoreboard is over: that has read the clock already. */
static int64_t operation_deadline_ns(const struct sb_request *request)
{
    if (request->timeout_ms < 0)
        return NEVER;
    return request->slot->since_ns + request->timeout_ms * INT64_C(1000000);
}

/* What a call on the socket means that did not succeed: 0 try again, or the error to return.
 * A blocking socket has waited in the kernel already, within SO_RCVTIMEO or SO_SNDTIMEO. */
static int after_failure(struct sb_request *request, short events, int64_t deadline_ns, int error)
{
    if (error == EINTR)
        return deadline_ns != NEVER && sb_now_ns() >= deadline_ns ? -ETIMEDOUT : 0;
    if (error != EAGAIN)
        return -error;
    if (!is_nonblocking(request))
        return -ETIMEDOUT;
    int r = wait_until(request, request->fd, events, deadline_ns);
    return r < 0 ? r : 0;
}

/* A loop that was asked to end still handles this request itself: nobody else is there to cut it off, so it must not
 * block in the kernel, but wait, which ends with the drain. */
static bool is_ending(const struct sb_request *request)
{
    return request->in_loop && sb_server_stopping(request->server);
}

/* What was there before the last receive is told to nobody again, and what was told may be gone: only a look can
 * tell. */
static int wait_for_own(struct sb_request *request, short events, int64_t deadline_ns)
{
    struct pollfd own = { .fd = request->fd, .events = events };
    int r;
    request->drained = false;
    do
        r = poll(&own, 1, 0) > 0 ? own.revents : wait_until(request, request->fd, events, deadline_ns);
    while (r > 0 && own.revents == 0 && !request->io);
    return r;
}

static int wait_for_fd(struct sb_request *request, int fd, short events, int64_t deadline_ns)
{
    if ((request->server->traits & SB_YIELDS) && fd == request->fd)
        return wait_for_own(request, events, deadline_ns);
    return wait_until(request, fd, events, deadline_ns);
}

static enum sb_state waiting_state(const struct sb_request *request, int fd, short events)
{
    return fd != request->fd ? SB_SLEEPING : events & POLLIN ? SB_READING : SB_WRITING;
}

int sb_wait_fd(struct sb_request *request, int fd, short events, int timeout_ms)
{
    int64_t deadline_ns = sb_deadline_ns(timeout_ms);
    sb_slot_enter(request->slot, waiting_state(request, fd, events));
    int r = wait_for_fd(request, fd, events, deadline_ns);
    sb_slot_enter(request->slot, SB_HANDLING);
    return r;
}

static int pause_for(struct sb_request *request, int milliseconds)
{
    int r = wait_until(request, -1, 0, sb_deadline_ns(milliseconds));
    return r == -ETIMEDOUT ? 0 : r;
}

int sb_sleep(struct sb_request *request, int milliseconds)
{
    sb_slot_enter(request->slot, SB_SLEEPING);
    int r = pause_for(request, milliseconds);
    sb_slot_enter(request->slot, SB_HANDLING);
    return r;
}

/* --- receiving ---------------------------------------------------------------------------------------------------- */

/* A dot for each byte of a control character: 0 to 31, 127, and U+0080 to U+009F in UTF-8. */
static void make_harmless(char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = text[i], next = i + 1 < size ? text[i + 1] : 0;
        if (byte < ' ' || byte == 127)
            text[i] = '.';
        if (byte == 0xc2 && next >= 0x80 && next < 0xa0)
            text[i] = text[i + 1] = '.';
    }
}

void sb_request_log_received(struct sb_request *request, const char *data, size_t size)
{
    char text[LOGGED_TEXT_MAX + 1];
    size_t length = size < LOGGED_TEXT_MAX ? size : LOGGED_TEXT_MAX;
    memcpy(text, data, length);
    text[length] = '\0';
    make_harmless(text, length);
    sb_server_log(request->server, SB_LOG_DEBUG, "[*] Received from %s: %s%s", sb_client_name(request), text,
                  length < size ? "..." : "");
}

/* A caller who is always ready must not keep the others waiting, where all share a thread. */
static void give_way(struct sb_request *request)
{
    if ((request->server->traits & SB_YIELDS) && ++request->streak == STREAK_MAX) {
        request->streak = 0;
        wait_until(request, -1, 0, 0);
    }
}

static ssize_t recv_from_socket(struct sb_request *request, void *buffer, size_t size, int64_t deadline_ns)
{
    for (;;) {
        bool wait_first = request->drained || is_ending(request);
        int r = wait_first ? wait_until(request, request->fd, POLLIN, deadline_ns) : 0;
        ssize_t n = r >= 0 ? recv(request->fd, buffer, size, 0) : r;
        if (r >= 0 && n >= 0) {
            request->drained = n > 0 && (size_t)n < size && (request->server->traits & SB_YIELDS);
            return n;
        }
        if (r >= 0)
            r = after_failure(request, POLLIN, deadline_ns, errno);
        if (r < 0)
            return r;
    }
}

static ssize_t receive(struct sb_request *request, void *buffer, size_t size)
{
    if (request->fd < 0)
        return -EBADF;
    if (request->late) {
        request->late = false;
        return -ETIMEDOUT;
    }
    sb_slot_enter(request->slot, SB_READING);
    int64_t deadline_ns = operation_deadline_ns(request);
    ssize_t n = request->io ? request->io->recv(request, buffer, size, deadline_ns)
                            : recv_from_socket(request, buffer, size, deadline_ns);
    request->saw_end |= n == 0 && size > 0;
    give_way(request);
    sb_slot_enter(request->slot, SB_HANDLING);
    if (n > 0 && sb_server_is_verbose(request->server))
        sb_request_log_received(request, buffer, n);
    return n;
}

static ssize_t take_input(struct sb_request *request, void *buffer, size_t size)
{
    size_t left = request->input_end - request->input_begin, n = size < left ? size : left;
    if (n > 0)
        memcpy(buffer, request->input + request->input_begin, n);
    request->input_begin += n;
    return n;
}

ssize_t sb_recv(struct sb_request *request, void *buffer, size_t size)
{
    if (request->datagram || request->input_begin < request->input_end)
        return take_input(request, buffer, size);
    return receive(request, buffer, size);
}

ssize_t sb_request_fill_input(struct sb_request *request)
{
    if (request->datagram)
        return 0;
    if (!request->input && !(request->input = malloc(LINE_BUFFER_SIZE)))
        return -ENOMEM;
    ssize_t n = receive(request, request->input, LINE_BUFFER_SIZE);
    request->input_begin = 0;
    request->input_end = n > 0 ? n : 0;
    return n;
}

ssize_t sb_readline(struct sb_request *request, char *line, size_t size)
{
    if (size < 2)
        return -EINVAL;
    size_t length = 0;
    while (length < size - 1) {
        if (request->input_begin == request->input_end) {
            ssize_t n = sb_request_fill_input(request);
            if (n < 0)
                return n;
            if (n == 0)
                break;
        }
        const char *begin = request->input + request->input_begin;
        size_t room = size - 1 - length, left = request->input_end - request->input_begin;
        size_t n = room < left ? room : left;
        const char *newline = memchr(begin, '\n', n);
        length += take_input(request, line + length, newline ? (size_t)(newline - begin) + 1 : n);
        if (newline)
            break;
    }
    line[length] = '\0';
    return length;
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

/* Gathers a datagram's reply. */
static int gather(struct sb_request *request, const void *buffer, size_t size)
{
    request->replied = true;
    if (size == 0)
        return 0;
    if (size > REPLY_SIZE_MAX - request->reply_size)
        return -EMSGSIZE;
    char *reply = realloc(request->reply, request->reply_size + size);
    if (!reply)
        return -ENOMEM;
    memcpy(reply + request->reply_size, buffer, size);
    request->reply = reply;
    request->reply_size += size;
    return 0;
}

static ssize_t send_some(struct sb_request *request, const void *buffer, size_t size, int64_t deadline_ns)
{
    if (request->io)
        return request->io->send(request, buffer, size, deadline_ns);
    for (;;) {
        bool ending = is_ending(request);
        int r = ending ? wait_until(request, request->fd, POLLOUT, deadline_ns) : 0;
        if (r < 0)
            return r;
        ssize_t n = send(request->fd, buffer, size, MSG_NOSIGNAL | (ending ? MSG_DONTWAIT : 0));
        if (n >= 0)
            return n;
        r = ending && errno == EAGAIN ? 0 : after_failure(request, POLLOUT, deadline_ns, errno);
        if (r < 0)
            return r;
    }
}

/* At least `least` of the bytes, on a stream. */
static ssize_t send_least(struct sb_request *request, const char *buffer, size_t size, size_t least)
{
    if (request->fd < 0)
        return -EBADF;
    sb_slot_enter(request->slot, SB_WRITING);
    int64_t deadline_ns = operation_deadline_ns(request);
    size_t sent = 0;
    ssize_t n = 0;
    while (sent < least && (n = send_some(request, buffer + sent, size - sent, deadline_ns)) >= 0) {
        sent += n;
        if (sent < least && deadline_ns != NEVER && sb_now_ns() >= deadline_ns)
            n = -ETIMEDOUT;
        if (n < 0)
            break;
    }
    give_way(request);
    sb_slot_enter(request->slot, SB_HANDLING);
    return n < 0 ? n : (ssize_t)sent;
}

ssize_t sb_send(struct sb_request *request, const void *buffer, size_t size)
{
    if (!request->datagram)
        return send_least(request, buffer, size, size > 0);
    int r = gather(request, buffer, size);
    return r < 0 ? r : (ssize_t)size;
}

int sb_sendall(struct sb_request *request, const void *buffer, size_t size)
{
    if (request->datagram)
        return gather(request, buffer, size);
    ssize_t n = send_least(request, buffer, size, size);
    return n < 0 ? n : 0;
}

int sb_printf(struct sb_request *request, const char *format, ...)
{
    char *text;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0)
        return -ENOMEM;
    int r = sb_sendall(request, text, length);
    free(text);
    return r < 0 ? r : length;
}

/* --- stdio -------------------------------------------------------------------------------------------------------- */

static ssize_t read_cookie(void *cookie, char *buffer, size_t size)
{
    ssize_t n = sb_recv(cookie, buffer, size);
    if (n < 0)
        errno = -n;
    return n < 0 ? -1 : n;
}

static ssize_t write_cookie(void *cookie, const char *buffer, size_t size)
{
    int r = sb_sendall(cookie, buffer, size);
    if (r < 0)
        errno = -r;
    return r < 0 ? 0 : (ssize_t)size;
}

/* The leftmost handler that sets a size decides, as it does for every attribute. glibc heeds a size only together with
 * a buffer (setvbuf(3)). */
static FILE *open_stream(struct sb_request *request, const char *mode, size_t attribute_offset, char **buffer)
{
    FILE *stream = fopencookie(request, mode, (cookie_io_functions_t){ .read = read_cookie, .write = write_cookie });
    int size = 0;
    for (unsigned i = 0; size == 0 && i < request->server->n_handlers; i++)
        size = *(const int *)((const char *)request->server->handlers[i].handler + attribute_offset);
    bool unbuffered = mode[0] == 'w' ? size == 0 : size == 1;
    if (stream && unbuffered)
        setvbuf(stream, NULL, _IONBF, 0);
    else if (stream && size > 0 && (*buffer = malloc(size)))
        setvbuf(stream, *buffer, _IOFBF, size);
    return stream;
}

FILE *sb_rfile(struct sb_request *request)
{
    if (!request->rfile)
        request->rfile = open_stream(request, "r", offsetof(struct sb_handler, rbufsize), &request->rbuffer);
    return request->rfile;
}

FILE *sb_wfile(struct sb_request *request)
{
    if (!request->wfile)
        request->wfile = open_stream(request, "w", offsetof(struct sb_handler, wbufsize), &request->wbuffer);
    return request->wfile;
}

static int close_streams(struct sb_request *request)
{
    int r = 0;
    if (request->rfile)
        fclose(request->rfile);
    if (request->wfile && fclose(request->wfile) != 0)
        r = errno ? -errno : -EIO;
    request->rfile = request->wfile = NULL;
    free(request->rbuffer);
    free(request->wbuffer);
    request->rbuffer = request->wbuffer = NULL;
    return r;
}

/* --- what stream and datagram handlers do around the handler's own methods ---------------------------------------- */

int sb_request_begin(struct sb_request *request, int timeout_ms, bool nodelay)
{
    const int on = 1;
    if (nodelay && !request->datagram && request->client.sa.sa_family != AF_UNIX)
        setsockopt(request->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return timeout_ms != 0 ? sb_settimeout(request, timeout_ms) : 0;
}

static int send_reply(struct sb_request *request)
{
    const struct sb_address *client = &request->client;
    if (client->size == 0)
        return -EDESTADDRREQ;
    struct sb_batch *batch = sb_batch_find(request->listener);
    if (batch) {
        sb_batch_reply(batch, request);
        return 0;
    }
    int64_t deadline_ns = sb_deadline_ns(FULL_PEER_MS);
    for (;;) {
        if (sendto(request->fd, request->reply, request->reply_size, MSG_NOSIGNAL, &client->sa, client->size) >= 0)
            return 0;
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
        /* It is the peer's queue that is full, and no descriptor of ours tells when it no longer is (unix(7)). */
        int r = pause_for(request, FULL_PEER_RETRY_MS);
        if (r == 0 && sb_now_ns() >= deadline_ns)
            r = -ETIMEDOUT;
        if (r < 0)
            return r;
    }
}

int sb_request_flush(struct sb_request *request)
{
    int r = close_streams(request);
    if (!request->replied)
        return r;
    sb_slot_enter(request->slot, SB_WRITING);
    int sent = send_reply(request);
    return r < 0 ? r : sent;
}

/* --- settings and identity ---------------------------------------------------------------------------------------- */

int sb_fd_settimeout(int fd, int timeout_ms)
{
    struct timeval limit = { 0 };
    if (timeout_ms >= 0)
        limit = (struct timeval){ .tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms ? timeout_ms % 1000 * 1000 : 1 };
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) < 0)
        return -errno;
    return 0;
}

int sb_settimeout(struct sb_request *request, int timeout_ms)
{
    request->timeout_ms = timeout_ms < 0 ? -1 : timeout_ms;
    return is_nonblocking(request) ? 0 : sb_fd_settimeout(request->fd, timeout_ms);
}

int sb_gettimeout(const struct sb_request *request)
{
    return request->timeout_ms;
}

bool sb_is_datagram(const struct sb_request *request)
{
    return request->datagram;
}

int sb_fileno(const struct sb_request *request)
{
    return request->fd;
}

const struct sb_address *sb_client_address(const struct sb_request *request)
{
    return &request->client;
}

int sb_local_address(const struct sb_request *request, struct sb_address *ret_address)
{
    struct sb_address address = { .socktype = request->datagram ? SOCK_DGRAM : SOCK_STREAM };
    socklen_t size = sizeof address.un;
    if (getsockname(request->fd, &address.sa, &size) < 0)
        return -errno;
    address.size = size;
    *ret_address = address;
    return 0;
}

/* A Unix socket's name is whatever its owner chose: it must not look like other lines of a log. */
static char *format_client(const struct sb_request *request)
{
    char text[SB_ADDRESS_TEXT_SIZE];
    sb_address_format_peer(&request->client, text);
    make_harmless(text, strlen(text));
    return strdup(text);
}

const char *sb_client_name(struct sb_request *request)
{
    if (!request->client_name)
        request->client_name = format_client(request);
    return request->client_name ? request->client_name : "?";
}

int sb_peer_credentials(const struct sb_request *request, struct sb_credentials *ret_credentials)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (request->datagram || request->listener->address.sa.sa_family != AF_UNIX)
        return -EOPNOTSUPP;
    if (getsockopt(request->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return -errno;
    *ret_credentials = (struct sb_credentials){ .pid = peer.pid, .uid = peer.uid, .gid = peer.gid };
    return 0;
}

int sb_getsockopt(const struct sb_request *request, int level, int name, void *value, socklen_t *size)
{
    return getsockopt(request->fd, level, name, value, size) < 0 ? -errno : 0;
}

int sb_setsockopt(struct sb_request *request, int level, int name, const void *value, socklen_t size)
{
    return setsockopt(request->fd, level, name, value, size) < 0 ? -errno : 0;
}

struct sb_server *sb_request_server(const struct sb_request *request)
{
    return request->server;
}

void sb_log(struct sb_request *request, const char *format, ...)
{
    if (!sb_server_is_verbose(request->server))
        return;
    char *text;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    sb_server_log(request->server, SB_LOG_DEBUG, "%s: %s", sb_client_name(request), text);
    free(text);
}

int sb_fail(struct sb_request *request, int error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    free(request->why);
    request->why_error = error;
    if (vasprintf(&request->why, format, arguments) < 0)
        request->why = NULL;
    va_end(arguments);
    return error;
}
