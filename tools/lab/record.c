#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

int record_begin(struct record *record)
{
    record_forget(record);
    record->file = tmpfile();
    if (!record->file)
        return -errno;
    fcntl(fileno(record->file), F_SETFD, FD_CLOEXEC);
    record->on = record->empty = true;
    record->size = recording_head_size + recording_tail_size;
    fwrite(recording_head, 1, recording_head_size, record->file);
    fputc('[', record->file);
    return 0;
}

/* In JSON a "<" stands in strings only, and there it may be \u003c, which can neither end a script nor begin a tag. */
static void write_escaped(struct record *record, const char *json)
{
    for (const char *end; *json; json = end) {
        end = strchrnul(json, '<');
        fwrite(json, 1, (size_t)(end - json), record->file);
        if (*end) {
            fputs("\\u003c", record->file);
            end++;
        }
    }
}

bool record_add(struct record *record, double t, const char *event, const char *data)
{
    if (!record->on)
        return true;
    fprintf(record->file, "%s[%.3f,\"%s\",", record->empty ? "" : ",\n", t, event);
    write_escaped(record, data);
    fputc(']', record->file);
    record->empty = false;
    record->size += strlen(data) + strlen(event) + 20;
    if (record->size < RECORD_SIZE_MAX && !ferror(record->file))
        return true;
    record_end(record);
    return false;
}

void record_end(struct record *record)
{
    if (!record->on)
        return;
    record->on = false;
    fputc(']', record->file);
    fwrite(recording_tail, 1, recording_tail_size, record->file);
    if (fflush(record->file) != 0 || ferror(record->file))
        record_forget(record);      /* what is not whole cannot be played */
}

void record_forget(struct record *record)
{
    if (record->file)
        fclose(record->file);
    *record = (struct record){ .file = NULL };
}
