/* Where lines go. Private. */
#ifndef GROUND_LOG_H
#define GROUND_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <switchboard/server.h>

struct sb_log {
    enum sb_log_level level;    /* lines above it are dropped */
    void (*write)(void *data, enum sb_log_level level, const char *text);   /* any thread; NULL: a line on stderr */
    void *data;
};

/* A line, in any thread; dropped without memory. */
void sb_log_line(const struct sb_log *log, enum sb_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void sb_log_vline(const struct sb_log *log, enum sb_log_level level, const char *format, va_list arguments);

/* Whether -v wants lines; asked before any is formatted on a hot path. */
static inline bool sb_log_is_verbose(const struct sb_log *log)
{
    return log->level >= SB_LOG_DEBUG;
}

#endif
