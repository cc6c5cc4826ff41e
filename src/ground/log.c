#include "log.h"

#include <stdio.h>
#include <stdlib.h>

void sb_log_vline(const struct sb_log *log, enum sb_log_level level, const char *format, va_list arguments)
{
    char *text;
    if (level > log->level || vasprintf(&text, format, arguments) < 0)
        return;
    if (log->write)
        log->write(log->data, level, text);
    else
        fprintf(stderr, "switchboard: %s\n", text);
    free(text);
}

void sb_log_line(const struct sb_log *log, enum sb_log_level level, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    sb_log_vline(log, level, format, arguments);
    va_end(arguments);
}
