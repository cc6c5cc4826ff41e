#include "line.h"

#include <stddef.h>

void line_leave(struct place *place)
{
    struct line *line = place->line;
    if (!line)
        return;
    *(place->previous ? &place->previous->next : &line->first) = place->next;
    *(place->next ? &place->next->previous : &line->last) = place->previous;
    place->line = NULL;
}

void line_join(struct line *line, struct place *place, uint64_t now_ns)
{
    line_leave(place);
    *place = (struct place){ .previous = line->last, .line = line, .since_ns = now_ns };
    *(line->last ? &line->last->next : &line->first) = place;
    line->last = place;
}

uint64_t line_next_ns(const struct line *line, uint64_t wait_ns)
{
    return line->first && line->first->since_ns < UINT64_MAX - wait_ns ? line->first->since_ns + wait_ns : UINT64_MAX;
}
