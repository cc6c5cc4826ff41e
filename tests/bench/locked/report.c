#include "report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "areas.h"
#include "books.h"

enum { LINES_SHOWN = 30, SITES_SHOWN = 8, SITES_MAX = 64, NAME_SIZE = 160, NAMES_MAX = 2000 };

void report_head(void)
{
    puts("| strategy | for each | counted | by workers | instructions | locked "
         "| locked on lines that two threads write | plain writes on such lines | futex calls |");
    puts("|---|---|---:|---:|---:|---:|---:|---:|---:|");
    fflush(stdout);
}

void report_row(const char *strategy, const char *what, long count, const struct counts *counts)
{
    struct totals totals = books_totals();
    double n = (double)count;
    printf("| `%s` | %s | %ld | %u | %.0f | %.2f | %.2f | %.2f | %.2f |\n", strategy, what, count, counts->workers,
           (double)counts->instructions / n, (double)counts->locked / n, (double)totals.met_locked / n,
           (double)totals.met_plain / n, (double)counts->futex_calls / n);
    fflush(stdout);
}

/* --- lines -------------------------------------------------------------------------------------------------------- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Of the functions that have been met. */
static struct name {
    uint32_t object;
    uint64_t offset;
    bool asked;
    char text[NAME_SIZE];
} names[NAMES_MAX];
static unsigned n_names;

static struct name *name_of(const struct site *site)
{
    unsigned i = 0;
    while (i < n_names && (names[i].object != site->object || names[i].offset != site->offset))
        i++;
    if (i < n_names)
        return &names[i];
    i = n_names < NAMES_MAX ? n_names++ : NAMES_MAX - 1;
    names[i] = (struct name){ .object = site->object, .offset = site->offset, .text = "?" };
    return &names[i];
}

/* Its answer has two lines for each, the first of which is the name. */
static void read_names(FILE *pipe, uint32_t object)
{
    char place[600];
    for (unsigned i = 0; i < n_names; i++) {
        if (names[i].object != object || names[i].asked)
            continue;
        names[i].asked = true;
        if (fgets(names[i].text, NAME_SIZE, pipe) && fgets(place, sizeof place, pipe))
            names[i].text[strcspn(names[i].text, "\n")] = '\0';
    }
}

/* addr2line(1) knows what is not inlined. One call for all of an object: it reads that whole. */
static void ask_names(uint32_t object)
{
    char *command = NULL;
    size_t size;
    FILE *text = open_memstream(&command, &size);
    if (!text)
        return;
    fprintf(text, "addr2line -f -e '%s'", object_path(object));
    for (unsigned i = 0; i < n_names; i++)
        if (names[i].object == object && !names[i].asked)
            fprintf(text, " %#" PRIx64, names[i].offset);
    fclose(text);
    FILE *pipe = popen(command, "re");
    if (pipe) {
        read_names(pipe, object);
        pclose(pipe);
    }
    free(command);
}

static void report_site(FILE *out, const struct site *site, double n)
{
    const struct name *name = name_of(site);
    if (!name->asked && site->object != 0 && !strchr(object_path(site->object), '\''))
        ask_names(site->object);
    fprintf(out, "    %8.2f %-6s %s in %s+%#" PRIx64 ": %s\n", (double)site->count / n,
            site->locked ? "locked" : "plain", name->text, base_name(object_path(site->object)), site->offset,
            site->text);
}

/* So that they are asked for together. */
static void note_names(const struct line *line)
{
    const struct site *sites[SITES_MAX];
    unsigned count = books_sites(line, sites, SITES_MAX);
    for (unsigned i = 0; i < count && i < SITES_SHOWN; i++)
        name_of(sites[i]);
}

static void report_line(FILE *out, const struct line *line, double n)
{
    const struct site *sites[SITES_MAX];
    char where[NAME_SIZE];
    unsigned n_sites = books_sites(line, sites, SITES_MAX);
    describe_address(line->pid, line->address / LINE_SIZE * LINE_SIZE, where, sizeof where);
    fprintf(out, "  line at %s: %.2f locked, %.2f plain\n", where, (double)line->locked / n, (double)line->plain / n);
    for (unsigned i = 0; i < n_sites && i < SITES_SHOWN; i++)
        report_site(out, sites[i], n);
}

void report_lines(FILE *out, long count)
{
    const struct line *lines[LINES_SHOWN];
    struct site sites[SITES_MAX];
    unsigned n_lines = books_met(lines, LINES_SHOWN), n_sites = books_alone(sites, SITES_MAX);
    for (unsigned i = 0; i < n_lines; i++)
        note_names(lines[i]);
    for (unsigned i = 0; i < n_sites; i++)
        name_of(&sites[i]);
    for (unsigned i = 0; i < n_lines; i++)
        report_line(out, lines[i], (double)count);
    if (n_sites > 0)
        fprintf(out, "  locked on lines of one thread:\n");
    for (unsigned i = 0; i < n_sites; i++)
        report_site(out, &sites[i], (double)count);
}
