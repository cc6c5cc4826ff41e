#include "receive.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "peer.h"
#include "wait.h"

#define LINE_BUFFER_SIZE 4096
#define LOGGED_TEXT_MAX 200

void sb_log_received(struct sb_request *request, const char *data, size_t size)
{
    char text[LOGGED_TEXT_MAX + 1];
    if (request->concealed) {
        sb_server_log(request->server, SB_LOG_DEBUG, "[*] Received from %s: %zu secret byte%s", sb_client_name(request),
                      size, size == 1 ? "" : "s");
        return;
    }
    size_t length = size < LOGGED_TEXT_MAX ? size : LOGGED_TEXT_MAX;
    memcpy(text, data, length);
    text[length] = '\0';
    sb_make_harmless(text, length);
    sb_server_log(request->server, SB_LOG_DEBUG, "[*] Received from %s: %s%s", sb_client_name(request), text,
                  length < size ? "..." : "");
}

void sb_conceal(struct sb_request *request, bool secret)
{
    request->concealed = secret;
}

static ssize_t recv_from_socket(struct sb_request *request, void *buffer, size_t size, int64_t deadline_ns)
{
    unsigned failures = 0;
    for (;;) {
        bool wait_first = request->drained || sb_is_ending(request);
        request->drained = false;       /* or the next wait would be for what has come already */
        int r = wait_first ? sb_wait(request, request->fd, POLLIN, deadline_ns) : 0;
        ssize_t n = r >= 0 ? recv(request->fd, buffer, size, 0) : r;
        if (r >= 0 && n >= 0) {
            request->drained = n > 0 && (size_t)n < size && sb_yields(request);
            return n;
        }
        if (r >= 0)
            r = sb_wait_after_failure(request, POLLIN, deadline_ns, errno, &failures);
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
    int64_t deadline_ns = sb_operation_deadline_ns(request);
    ssize_t n = request->io ? request->io->recv(request, buffer, size, deadline_ns)
                            : recv_from_socket(request, buffer, size, deadline_ns);
    request->saw_end |= n == 0 && size > 0;
    sb_note_result(request, n);
    sb_give_way(request);
    sb_slot_enter(request->slot, SB_HANDLING);
    if (n > 0 && sb_log_is_verbose(&request->server->log))
        sb_log_received(request, buffer, n);
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

ssize_t sb_fill_input(struct sb_request *request)
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
            ssize_t n = sb_fill_input(request);
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
