#include "books.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LINES = 1 << 18, SITES = 1 << 19 };

static struct line *lines;
static struct site *sites;
static unsigned n_lines, n_sites;

int books_open(void)
{
    lines = calloc(LINES, sizeof *lines);
    sites = calloc(SITES, sizeof *sites);
    return lines && sites ? 0 : -ENOMEM;
}

void books_close(void)
{
    free(lines);
    free(sites);
}

void books_clear(void)
{
    memset(lines, 0, LINES * sizeof *lines);
    memset(sites, 0, SITES * sizeof *sites);
    n_lines = n_sites = 0;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t x = (a * 0x9e3779b97f4a7c15u) ^ (b + 0x7f4a7c15u) * 0xbf58476d1ce4e5b9u;
    return x ^ x >> 29;
}

/* NULL: no room. */
static struct line *find_line(const struct line *wanted)
{
    unsigned i = mix(wanted->number, wanted->space) % LINES;
    while (lines[i].writer != 0 && (lines[i].number != wanted->number || lines[i].space != wanted->space))
        i = (i + 1) % LINES;
    if (lines[i].writer == 0 && ++n_lines > LINES / 2)
        return NULL;
    return &lines[i];
}

static struct site *find_site(const struct site *wanted, uint32_t line)
{
    unsigned i = mix(wanted->offset ^ (uint64_t)wanted->object << 48, line) % SITES;
    while (sites[i].count != 0 && (sites[i].line != line || sites[i].offset != wanted->offset ||
                                   sites[i].object != wanted->object))
        i = (i + 1) % SITES;
    if (sites[i].count == 0 && ++n_sites > SITES / 2)
        return NULL;
    return &sites[i];
}

bool books_write(const struct line *wanted, uint32_t writer, const struct site *from)
{
    struct line *line = find_line(wanted);
    struct site *site = line ? find_site(from, line - lines) : NULL;
    if (!site)
        return false;
    if (line->writer == 0) {
        *line = *wanted;
        line->writer = writer;
    }
    line->met |= line->writer != writer;
    line->locked += from->locked;
    line->plain += !from->locked;
    uint64_t count = site->count;
    *site = *from;
    site->line = line - lines;
    site->count = count + 1;
    return true;
}

struct totals books_totals(void)
{
    struct totals totals = { 0 };
    for (unsigned i = 0; i < LINES; i++) {
        if (lines[i].met) {
            totals.met_locked += lines[i].locked;
            totals.met_plain += lines[i].plain;
        }
    }
    return totals;
}

/* --- for people --------------------------------------------------------------------------------------------------- */

static int by_locked(const void *a, const void *b)
{
    const struct line *x = *(const struct line *const *)a, *y = *(const struct line *const *)b;
    if (x->locked != y->locked)
        return x->locked < y->locked ? 1 : -1;
    return (x->plain < y->plain) - (x->plain > y->plain);
}

static int by_count(const void *a, const void *b)
{
    const struct site *x = *(const struct site *const *)a, *y = *(const struct site *const *)b;
    return (x->count < y->count) - (x->count > y->count);
}

unsigned books_met(const struct line **ret_lines, unsigned room)
{
    const struct line **all = calloc(n_lines + 1, sizeof *all);
    unsigned count = 0;
    for (unsigned i = 0; all && i < LINES; i++)
        if (lines[i].met)
            all[count++] = &lines[i];
    if (all)
        qsort(all, count, sizeof *all, by_locked);
    count = count < room ? count : room;
    if (all)
        memcpy(ret_lines, all, count * sizeof *all);
    free(all);
    return count;
}

unsigned books_sites(const struct line *line, const struct site **ret_sites, unsigned room)
{
    unsigned count = 0;
    for (unsigned i = 0; i < SITES && count < room; i++)
        if (sites[i].count > 0 && sites[i].line == line - lines)
            ret_sites[count++] = &sites[i];
    qsort(ret_sites, count, sizeof *ret_sites, by_count);
    return count;
}

static struct site *find_same(struct site *sums, unsigned count, const struct site *site)
{
    for (unsigned i = 0; i < count; i++)
        if (sums[i].object == site->object && sums[i].offset == site->offset)
            return &sums[i];
    return NULL;
}

unsigned books_alone(struct site *ret_sums, unsigned room)
{
    unsigned count = 0;
    for (unsigned i = 0; i < SITES; i++) {
        if (sites[i].count == 0 || !sites[i].locked || lines[sites[i].line].met)
            continue;
        struct site *sum = find_same(ret_sums, count, &sites[i]);
        if (sum)
            sum->count += sites[i].count;
        else if (count < room)
            ret_sums[count++] = sites[i];
    }
    return count;
}
