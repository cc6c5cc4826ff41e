/* How `sleep`, `spin`, `crash`, `visits` and `play` read what they are told: line by line.
 * The end of what one receive brought ends a line too: unlike a terminal, many programs send no newline. */
#ifndef HANDLERS_LINES_H
#define HANDLERS_LINES_H

#include <string.h>
#include <switchboard/switchboard.h>

/* Calls obey() with each line, without its newline, until the caller ends or obey() fails; returns 0 or -errno. */
static inline int for_each_line(struct sb_request *request, int (*obey)(struct sb_request *request, char *line))
{
    char text[1024];
    ssize_t n;
    while ((n = sb_recv(request, text, sizeof text - 1)) > 0) {
        text[n] = '\0';
        for (char *line = text, *end; line < text + n; line = end + 1) {
            end = line + strcspn(line, "\n");
            *end = '\0';
            line[strcspn(line, "\r")] = '\0';
            int r = obey(request, line);
            if (r < 0)
                return r;
        }
    }
    return n;
}

#endif
