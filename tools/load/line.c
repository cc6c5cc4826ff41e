#include "line.h"

#include <stddef.h>

void line_open(struct line *line)
{
    TAILQ_INIT(&line->places);
}

static void leave(struct place *place)
{
    if (place->line)
        TAILQ_REMOVE(&place->line->places, place, neighbours);
    place->line = NULL;
}

void line_join(struct line *line, struct place *place, uint64_t now_ns)
{
    leave(place);
    place->line = line;
    place->since_ns = now_ns;
    TAILQ_INSERT_TAIL(&line->places, place, neighbours);
}

struct place *line_first(const struct line *line)
{
    return TAILQ_FIRST(&line->places);
}

uint64_t line_next_ns(const struct line *line, uint64_t wait_ns)
{
    const struct place *first = line_first(line);
    return first && first->since_ns < UINT64_MAX - wait_ns ? first->since_ns + wait_ns : UINT64_MAX;
}
