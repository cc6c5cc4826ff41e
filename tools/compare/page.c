/* The report as a page: assembled when this program was built, with the JSON in its middle. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "output.h"

/* By report/assemble.py; empty without Chart.js. */
extern const char page_head[], page_tail[];
extern const size_t page_head_size, page_tail_size;

bool page_is_built(void)
{
    return page_head_size > 0;
}

/* In JSON a "<" stands in strings only, and there it may be \u003c, which can neither end a script nor begin a tag. */
static void write_escaped(const char *json, FILE *file)
{
    for (const char *end; *json; json = end) {
        end = strchrnul(json, '<');
        fwrite(json, 1, end - json, file);
        if (*end) {
            fputs("\\u003c", file);
            end++;
        }
    }
}

static int make_json(const struct comparison *comparison, char **ret_json)
{
    char *json = NULL;
    size_t size;
    FILE *memory = open_memstream(&json, &size);
    if (!memory)
        return -errno;

    int r = json_write(comparison, memory), closed = fclose(memory);
    if (r >= 0 && (closed != 0 || !json))       /* without memory glibc's fclose() returns 0, and a NULL */
        r = -ENOMEM;
    if (r < 0) {
        free(json);
        return r;
    }
    *ret_json = json;
    return 0;
}

int page_write(const struct comparison *comparison, FILE *file)
{
    if (!page_is_built())
        return -ENOTSUP;
    char *json = NULL;
    int r = make_json(comparison, &json);
    if (r < 0)
        return r;

    errno = 0;
    fwrite(page_head, 1, page_head_size, file);
    write_escaped(json, file);
    fwrite(page_tail, 1, page_tail_size, file);
    r = fflush(file) != 0 || ferror(file) ? -(errno ? errno : EIO) : 0;
    free(json);
    return r;
}
