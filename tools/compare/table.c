#include "table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "scenario.h"
#include "terminal.h"

#define WIDTH 100       /* where `out` is no terminal, and of running text */
#define GAP 2           /* between columns */
#define CELL_SIZE 256
#define COLUMNS_MAX (SCENARIO_METRICS_MAX + 3)

#define BOLD "1"
#define DIM "2"
#define RED "31"
#define GREEN "32"

enum kind { NAME, MEDIAN, QUARTILES, JUDGEMENT };

struct column {
    enum kind kind;
    enum metric metric;
    char head[CELL_SIZE];       /* one line or two */
    int width;
};

struct table {
    FILE *out;
    const struct match *match;
    bool colours;
    int width;                  /* that a line may have */
    struct column columns[COLUMNS_MAX];
    unsigned n_columns;
};

static bool is_primary(const struct table *table, enum metric metric)
{
    return metric == table->match->scenario->primary;
}

/* --- cells -------------------------------------------------------------------------------------------------------- */

static bool was_given_up(const struct contestant *contestant)
{
    return contestant->rounds > 0 && (contestant->died || contestant->why[0]);
}

static void format_name(const struct contestant *contestant, char *text)
{
    snprintf(text, CELL_SIZE, "%.240s%s%s", contestant->name,
             contestant->bottleneck && contestant->rounds > 0 ? "*" : "", was_given_up(contestant) ? "!" : "");
}

static void format_quartiles(enum metric metric, struct spread spread, char *text)
{
    char low[NUMBER_SIZE], high[NUMBER_SIZE];
    int digits = metric_infos[metric].digits;
    snprintf(text, CELL_SIZE, "%s..%s", number_format(spread.low, digits, low),
             number_format(spread.high, digits, high));
    if (spread.n == 0)
        text[0] = '\0';
}

static void format_middle(struct spread spread, enum metric metric, char *text)
{
    number_format(metric_is_fault(metric) ? spread.max : spread.median, metric_infos[metric].digits, text);
}

/* "1.05 x faster": the factor is never below 1, and left out where the medians do not tell it. */
static void format_judgement(const struct match *match, const struct contestant *contestant, enum metric metric,
                             char *text)
{
    const char *word = contestant_judge(match, contestant, metric);
    double ratio;
    enum difference difference = contestant_compare(match, contestant, metric, &ratio);
    double factor = difference == LESS ? 1 / ratio : ratio;
    char number[NUMBER_SIZE];
    if (strcmp(word, "baseline") == 0)
        strcpy(text, word);
    else if (strncmp(word, "too", 3) == 0)
        strcpy(text, difference == TOO_FEW ? "too few" : "too close");
    else if (factor >= 1 && isfinite(factor))
        snprintf(text, CELL_SIZE, "%s x %s", number_format(factor, factor < 100 ? 2 : 0, number), word);
    else
        strcpy(text, word);
}

static void format_cell(const struct match *match, const struct column *column, const struct contestant *contestant,
                        char text[CELL_SIZE])
{
    switch (column->kind) {
    case NAME:
        format_name(contestant, text);
        break;
    case MEDIAN:
        format_middle(contestant_spread(contestant, column->metric), column->metric, text);
        break;
    case QUARTILES:
        format_quartiles(column->metric, contestant_spread(contestant, column->metric), text);
        break;
    case JUDGEMENT:
        format_judgement(match, contestant, column->metric, text);
    }
}

static const char *colour_of(const struct match *match, const struct column *column,
                             const struct contestant *contestant)
{
    double ratio;
    if (column->kind != JUDGEMENT || contestant_judge(match, contestant, column->metric)[0] == '\0')
        return "";
    enum difference difference = contestant_compare(match, contestant, column->metric, &ratio);
    int better = metric_infos[column->metric].better;
    if (difference == MORE || difference == LESS)
        return better == 0 ? "" : (difference == MORE) == (better > 0) ? GREEN : RED;
    return contestant == &match->contestants[match->baseline] ? "" : DIM;
}

/* --- columns ------------------------------------------------------------------------------------------------------ */

/* Line 0 or 1 of a head; heads of one line stand on the second. */
static void format_head(const struct column *column, int line, char text[CELL_SIZE])
{
    const char *second = strchr(column->head, '\n');
    if (line == 1)
        snprintf(text, CELL_SIZE, "%s", second ? second + 1 : column->head);
    else
        snprintf(text, CELL_SIZE, "%.*s", second ? (int)(second - column->head) : 0, column->head);
}

static int larger(int a, int b)
{
    return a > b ? a : b;
}

static int measure_column(const struct match *match, const struct column *column)
{
    char text[CELL_SIZE];
    int width = 0;
    for (int line = 0; line < 2; line++) {
        format_head(column, line, text);
        width = larger(width, text_width(text));
    }
    for (unsigned i = 0; i < match->n_contestants; i++)
        if (match->contestants[i].rounds > 0 || column->kind == NAME) {
            format_cell(match, column, &match->contestants[i], text);
            width = larger(width, text_width(text));
        }
    return width;
}

static void add_column(struct table *table, enum kind kind, enum metric metric, const char *head)
{
    struct column *column = &table->columns[table->n_columns++];
    column->kind = kind;
    column->metric = metric;
    snprintf(column->head, sizeof column->head, "%s", head);
    column->width = measure_column(table->match, column);
}

static bool is_known(const struct match *match, enum metric metric)
{
    for (unsigned i = 0; i < match->n_contestants; i++)
        if (contestant_spread(&match->contestants[i], metric).n > 0)
            return true;
    return false;
}

static bool has_rivals(const struct match *match)
{
    unsigned run = 0;
    for (unsigned i = 0; i < match->n_contestants; i++)
        run += match->contestants[i].rounds > 0;
    return match->baseline >= 0 && run > 1;
}

static void add_columns(struct table *table)
{
    const struct match *match = table->match;
    char beside[CELL_SIZE];
    add_column(table, NAME, 0, "strategy");
    for (unsigned i = 0; i < SCENARIO_METRICS_MAX && match->scenario->shown[i] != METRICS; i++) {
        enum metric metric = match->scenario->shown[i];
        if (!is_known(match, metric))
            continue;
        add_column(table, MEDIAN, metric, metric_infos[metric].column);
        if (!is_primary(table, metric))
            continue;
        add_column(table, QUARTILES, metric, "quartiles");
        if (has_rivals(match)) {
            snprintf(beside, sizeof beside, "beside\n%.200s", match->contestants[match->baseline].name);
            add_column(table, JUDGEMENT, metric, beside);
        }
    }
}

/* The end of the columns from `first` on that have room beside the names, one at least. */
static unsigned columns_that_fit(const struct table *table, unsigned first)
{
    int used = table->columns[0].width;
    unsigned end = first;
    while (end < table->n_columns && (end == first || used + GAP + table->columns[end].width <= table->width))
        used += GAP + table->columns[end++].width;
    return end;
}

/* --- print -------------------------------------------------------------------------------------------------------- */

static void put_coloured(const struct table *table, const char *colour, const char *text, int width, bool right)
{
    if (table->colours && colour[0])
        fprintf(table->out, "\033[%sm", colour);
    text_pad(table->out, text, width, right);
    if (table->colours && colour[0])
        fputs("\033[0m", table->out);
}

/* No line where it would be empty, and no blanks at its end. */
static void put_head(const struct table *table, unsigned first, unsigned end, int line)
{
    char text[CELL_SIZE];
    while (line == 0 && end > first && !strchr(table->columns[end - 1].head, '\n'))
        end--;
    if (line == 0 && end == first)
        return;
    format_head(&table->columns[0], line, text);
    put_coloured(table, BOLD, text, table->columns[0].width, false);
    for (unsigned i = first; i < end; i++) {
        format_head(&table->columns[i], line, text);
        put_coloured(table, BOLD, text, GAP + table->columns[i].width, true);
    }
    fputc('\n', table->out);
}

static void put_name(const struct table *table, const struct contestant *contestant)
{
    char text[CELL_SIZE];
    format_name(contestant, text);
    text_pad(table->out, text, table->columns[0].width, false);
}

static void put_row(const struct table *table, const struct contestant *contestant, unsigned first, unsigned end)
{
    char text[CELL_SIZE];
    put_name(table, contestant);
    for (unsigned i = first; i < end; i++) {
        const struct column *column = &table->columns[i];
        format_cell(table->match, column, contestant, text);
        fprintf(table->out, "%*s", GAP, "");
        put_coloured(table, colour_of(table->match, column, contestant), text, column->width, true);
    }
    fputc('\n', table->out);
}

static void put_skipped(const struct table *table, const struct contestant *contestant)
{
    char reason[SUBJECT_WHY_SIZE + 16];
    put_name(table, contestant);
    fprintf(table->out, "%*s", GAP, "");
    snprintf(reason, sizeof reason, contestant->why[0] ? "skipped: %s" : "not run", contestant->why);
    text_wrap(table->out, reason, table->width, table->columns[0].width + GAP);
}

static void put_rows(const struct table *table, unsigned first, unsigned end)
{
    put_head(table, first, end, 0);
    put_head(table, first, end, 1);
    for (unsigned i = 0; i < table->match->n_contestants; i++) {
        const struct contestant *contestant = &table->match->contestants[i];
        if (contestant->rounds > 0)
            put_row(table, contestant, first, end);
        else if (first == 1)
            put_skipped(table, contestant);
    }
}

static void put_columns(const struct table *table)
{
    unsigned first = 1;
    do {
        unsigned end = columns_that_fit(table, first);
        if (first > 1)
            fputc('\n', table->out);
        put_rows(table, first, end);
        first = end;
    } while (first < table->n_columns);
}

/* --- around it ---------------------------------------------------------------------------------------------------- */

static int prose_width(const struct table *table)
{
    return table->width < WIDTH ? table->width : WIDTH;
}

static void put_cpus(FILE *out, const char *who, const cpu_set_t *cpus)
{
    char list[CELL_SIZE];
    fprintf(out, "%s on CPU%s %s", who, CPU_COUNT(cpus) > 1 ? "s" : "", machine_cpu_list(cpus, list, sizeof list));
}

static void put_plan(FILE *out, const struct comparison *comparison, const struct match *match)
{
    const struct machine *machine = &comparison->machine;
    fprintf(out, "%s over %s, %u client%s in a closed loop, %u round%s", match->handler, match->family, match->clients,
            match->clients == 1 ? "" : "s", match->rounds, match->rounds == 1 ? "" : "s");
    if (match->seconds > 0)
        fprintf(out, " of %g s", match->seconds);
    if (match->scenario->all_cpus || machine->load_cpu < 0) {
        put_cpus(out, "; server and load", &machine->all_cpus);
    } else {
        put_cpus(out, "; server", &machine->server_cpus);
        fprintf(out, ", load on CPU %d", machine->load_cpu);
    }
}

static void put_title(const struct table *table, const struct comparison *comparison)
{
    char plan[1024] = "";
    put_coloured(table, BOLD, table->match->scenario->title, 0, false);
    fputc('\n', table->out);
    text_wrap(table->out, table->match->scenario->lesson, prose_width(table), 0);
    FILE *memory = fmemopen(plan, sizeof plan, "w");
    if (memory) {
        put_plan(memory, comparison, table->match);
        fclose(memory);
        text_wrap(table->out, plan, prose_width(table), 0);
    }
    fputc('\n', table->out);
}

static void put_footnotes(const struct table *table)
{
    const struct match *match = table->match;
    bool bottleneck = false;
    char text[SUBJECT_WHY_SIZE + CELL_SIZE];
    for (unsigned i = 0; i < match->n_contestants; i++) {
        const struct contestant *contestant = &match->contestants[i];
        bottleneck |= contestant->bottleneck && contestant->rounds > 0;
        if (!was_given_up(contestant))
            continue;
        snprintf(text, sizeof text, "! %.240s: %s", contestant->name,
                 contestant->why[0] ? contestant->why : "its server ended by itself.");
        text_wrap(table->out, text, prose_width(table), 0);
    }
    if (bottleneck)
        text_wrap(table->out, "* The load generator was the limit, not the server, which could have answered more.",
                  prose_width(table), 0);
}

static bool has_unanswered(const struct match *match)
{
    for (unsigned i = 0; i < match->n_contestants; i++)
        if (contestant_spread(&match->contestants[i], UNANSWERED).max > 0)
            return true;
    return false;
}

static void put_note(const struct table *table)
{
    char text[CELL_SIZE] = "Medians of the rounds.", level[NUMBER_SIZE];
    if (has_rivals(table->match) && table->match->rounds >= SIGNED_RANK_LEAST)
        snprintf(text, sizeof text, "Medians, of errors the most in a round; differences by the signed-rank test of "
                 "Wilcoxon, round by round, level %s.", number_format(SIGNED_RANK_LEVEL, 2, level));
    else if (has_rivals(table->match))
        snprintf(text, sizeof text, "Medians, of errors the most in a round; only %d rounds or more can tell what "
                 "is not chance.",
                 SIGNED_RANK_LEAST);
    text_wrap(table->out, text, prose_width(table), 0);
    if (has_unanswered(table->match))
        text_wrap(table->out, "Latencies are of the answered only: who still waited at the end is not among them.",
                  prose_width(table), 0);
}

static void put_verdict(const struct table *table)
{
    char line[VERDICT_SIZE];
    for (const char *at = table->match->verdict; *at; at += *at == '\n') {
        size_t length = strcspn(at, "\n");
        snprintf(line, sizeof line, "%.*s", (int)length, at);
        text_wrap(table->out, line, prose_width(table), 0);
        at += length;
    }
}

/* One reason for all, which the verdict gives. */
static bool is_refused_alike(const struct match *match)
{
    for (unsigned i = 0; i < match->n_contestants; i++)
        if (match->contestants[i].rounds > 0 || match->contestants[i].why[0] == '\0' ||
            strcmp(match->contestants[i].why, match->contestants[0].why) != 0)
            return false;
    return true;
}

void table_print(const struct comparison *comparison, const struct match *match, FILE *out)
{
    struct table table = {
        .out = out, .match = match, .colours = terminal_has_colours(out), .width = terminal_width(out, WIDTH),
    };
    add_columns(&table);
    put_title(&table, comparison);
    if (!is_refused_alike(match)) {
        put_columns(&table);
        put_footnotes(&table);
        put_note(&table);
    }
    if (match->verdict[0])
        fputc('\n', out);
    put_verdict(&table);
    fputc('\n', out);
}
