/* A waiting line of clients, in the order of the times at which they joined it. All in one line wait equally long, so
 * whoever is first is also the next one whose time is up. */
#ifndef LINE_H
#define LINE_H

#include <stdint.h>
#include <sys/queue.h>

/* Part of a client, which stands in one line at most. All zeroes: in none. */
struct place {
    TAILQ_ENTRY(place) neighbours;
    struct line *line;          /* NULL: in none */
    uint64_t since_ns;
};

struct line {
    TAILQ_HEAD(, place) places;
};

/* Before anything else: nobody stands in it. */
void line_open(struct line *line);

/* Leaves the line where it stands, if any, and goes to the end of this one. */
void line_join(struct line *line, struct place *place, uint64_t now_ns);

/* Who stands first; NULL: nobody. */
struct place *line_first(const struct line *line);

/* When the first one has waited for wait_ns; UINT64_MAX: nobody waits. */
uint64_t line_next_ns(const struct line *line, uint64_t wait_ns);

#endif
