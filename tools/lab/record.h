/* A session kept as one page that plays without a server: a file without a name, written as it goes on. */
#ifndef LAB_RECORD_H
#define LAB_RECORD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define RECORD_SIZE_MAX (128 << 20)

/* The page up to its data, and behind it: by assemble.py. */
extern const char recording_head[], recording_tail[];
extern const size_t recording_head_size, recording_tail_size;

struct record {
    FILE *file;                     /* NULL: nothing was recorded */
    bool on;
    bool empty;                     /* no event yet */
    uint64_t size;
};

/* Begins anew. 0 or -errno. */
int record_begin(struct record *record);

/* An event as it is sent; t in milliseconds. Ends the recording when it is full, or cannot be written: returns false
 * then. */
bool record_add(struct record *record, double t, const char *event, const char *data);

/* Ends it: the file is whole. */
void record_end(struct record *record);

void record_forget(struct record *record);

#endif
