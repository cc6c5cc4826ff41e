/* What callers say, where the operator reads it: without the control characters that would move a cursor, forge a line
 * or answer back (console_codes(4)). UTF-8 passes untouched. */
#ifndef HANDLERS_TERMINAL_H
#define HANDLERS_TERMINAL_H

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <switchboard/switchboard.h>

/* The size without the newline at the end, which terminals send along and programs do not. */
static inline size_t without_newline(const char *text, size_t size)
{
    if (size > 0 && text[size - 1] == '\n')
        size--;
    if (size > 0 && text[size - 1] == '\r')
        size--;
    return size;
}

/* Replaces each byte of a control character that is not in `allowed` by a dot: 0 to 31, 127, and U+0080 to U+009F. */
static inline void make_harmless(char *text, size_t size, const char *allowed)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = text[i], next = i + 1 < size ? text[i + 1] : 0;
        if ((byte < ' ' && !memchr(allowed, byte, strlen(allowed))) || byte == 127)
            text[i] = '.';
        if (byte == 0xc2 && next >= 0x80 && next < 0xa0)
            text[i] = text[i + 1] = '.';
    }
}

static inline int write_all(struct sb_request *request, const char *text, size_t size)
{
    while (size > 0) {
        int r = sb_wait_fd(request, STDOUT_FILENO, POLLOUT, sb_gettimeout(request));
        if (r < 0)
            return r;
        ssize_t n = write(STDOUT_FILENO, text, size);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return sb_fail(request, -EIO, "cannot write to standard output: %s", strerror(errno));
        text += n > 0 ? n : 0;
        size -= n > 0 ? n : 0;
    }
    return 0;
}

/* Writes to standard output, in one piece: the lines of handlers that run at once do not mix. Newlines and tabs pass,
 * other control characters become dots. Returns 0, or -errno. */
static inline int __attribute__((format(printf, 2, 3))) show(struct sb_request *request, const char *format, ...)
{
    char *text;
    va_list arguments;
    va_start(arguments, format);
    int size = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (size < 0)
        return -ENOMEM;
    make_harmless(text, size, "\n\t");
    int r = write_all(request, text, size);
    free(text);
    return r;
}

#endif
