#include "output.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include "scenario.h"

static void put_text(FILE *file, const char *text)
{
    if (!text[strcspn(text, ",\"\r\n")]) {
        fputs(text, file);
        return;
    }
    fputc('"', file);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', file);
        fputc(*text, file);
    }
    fputc('"', file);
}

/* As short as six digits behind the point allow; nothing for what is not known. */
static void put_number(FILE *file, double value)
{
    char text[400];
    if (!isfinite(value))
        return;
    int length = snprintf(text, sizeof text, "%.6f", value);
    while (text[length - 1] == '0')
        length--;
    if (text[length - 1] == '.')
        length--;
    text[length] = '\0';
    fputs(strcmp(text, "-0") == 0 ? "0" : text, file);
}

static void write_header(FILE *file)
{
    fputs("schema_version,scenario,handler,family,clients,workers,strategy,discipline,round", file);
    for (int metric = 0; metric < METRICS; metric++)
        fprintf(file, ",%s", metric_infos[metric].name);
    fputs(",skipped\r\n", file);
}

/* round 0: why it was skipped or given up. */
static void write_row(FILE *file, const struct match *match, const struct contestant *contestant, unsigned round)
{
    fprintf(file, "%d,", OUTPUT_SCHEMA_VERSION);
    put_text(file, match->scenario->name);
    fputc(',', file);
    put_text(file, match->handler);
    fputc(',', file);
    put_text(file, match->family);
    fprintf(file, ",%u,%u,", match->clients, match->workers);
    put_text(file, contestant->strategy);
    fputc(',', file);
    put_text(file, contestant->discipline);
    fprintf(file, ",%u", round);
    for (int metric = 0; metric < METRICS; metric++) {
        fputc(',', file);
        put_number(file, round > 0 ? contestant->values[round - 1][metric] : NAN);
    }
    fputc(',', file);
    put_text(file, round > 0 ? "" : contestant->why);
    fputs("\r\n", file);
}

static void write_match(FILE *file, const struct match *match)
{
    for (unsigned i = 0; i < match->n_contestants; i++) {
        const struct contestant *contestant = &match->contestants[i];
        for (unsigned round = 1; round <= contestant->rounds; round++)
            write_row(file, match, contestant, round);
        if (contestant->why[0])
            write_row(file, match, contestant, 0);
    }
}

int csv_write(const struct comparison *comparison, FILE *file)
{
    write_header(file);
    for (unsigned i = 0; i < comparison->n_matches; i++)
        write_match(file, &comparison->matches[i]);
    if (fflush(file) == EOF)
        return -errno;
    return ferror(file) ? -EIO : 0;
}
