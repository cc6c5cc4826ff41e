#include "table.h"

#include <stdio.h>
#include <string.h>
#include "terminal.h"

static void format_left(double left_s, char *text, size_t size)
{
    text[0] = '\0';
    if (left_s >= 90)
        snprintf(text, size, "  %.0f min left", left_s / 60);
    else if (left_s >= 0)
        snprintf(text, size, "  %.0f s left", left_s);
}

void progress_show(const char *scenario, unsigned round, unsigned rounds, const char *contestant, double left_s)
{
    char line[512], left[32], shown[sizeof line] = "";
    if (!terminal_is_clever(stderr))
        return;
    format_left(left_s, left, sizeof left);
    snprintf(line, sizeof line, "%s  round %u of %u  %s%s", scenario, round, rounds, contestant, left);
    FILE *memory = fmemopen(shown, sizeof shown, "w");
    if (!memory)
        return;
    /* A line that is full would make some terminals begin the next one. */
    text_cut(memory, line, terminal_width(stderr, 79));
    fclose(memory);
    fprintf(stderr, "\r%s\033[K", shown);
}

void progress_clear(void)
{
    if (terminal_is_clever(stderr))
        fputs("\r\033[K", stderr);
}
