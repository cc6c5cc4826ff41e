/* Files with the results. The schema is documented in switchboard-compare(1) and, for JSON, in compare.schema.json. */
#ifndef OUTPUT_H
#define OUTPUT_H

#include <stdio.h>
#include "comparison.h"

#define OUTPUT_SCHEMA_VERSION 1

/* A file to be written when all is done, opened before, so that a mistake in its path costs no time. Zeroed: none. */
struct output {
    const char *path;
    FILE *file;
    bool created;               /* it was not there before */
};

/* Opens, and keeps what is in it until there is something new. Returns 0, or -errno after a sentence on stderr. */
int output_open(struct output *output, const char *path);

/* Replaces its contents by what write() writes; one that was not opened is left alone. As above. */
int output_write(struct output *output, const struct comparison *comparison,
                 int (*write)(const struct comparison *comparison, FILE *file));

/* Closes; one that was created and never written is removed. */
void output_close(struct output *output);

/* Each returns 0 or -errno (-ENOMEM, or what writing said); the file stays open, and is flushed. */
int json_write(const struct comparison *comparison, FILE *file);
int csv_write(const struct comparison *comparison, FILE *file);

/* A page that needs no other file and no network: the report with the same JSON in it. */
int page_write(const struct comparison *comparison, FILE *file);

/* False: built without Chart.js, so page_write() is -ENOTSUP. */
bool page_is_built(void);

#endif
