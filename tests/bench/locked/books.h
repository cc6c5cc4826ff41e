/* Who wrote which cache line how often, and from where in the code. */
#ifndef LOCKED_BOOKS_H
#define LOCKED_BOOKS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define LINE_SIZE 64

struct line {
    uint32_t space;         /* areas.h: of the memory that it lies in */
    uint64_t number;        /* its address there, in lines */
    uint32_t writer;        /* the first thread that wrote it; 0: this place of the table is free */
    bool met;               /* another one did, too */
    uint64_t locked, plain;
    pid_t pid;              /* where it was seen first, and at which address */
    uint64_t address;
};

struct site {
    uint32_t line;          /* in the table of lines */
    uint32_t object;        /* of the code */
    uint64_t offset;
    bool locked;
    uint64_t count;         /* 0: this place of the table is free */
    char text[56];
};

struct totals {
    uint64_t met_locked, met_plain;     /* on lines that two threads write */
};

int books_open(void);
void books_close(void);
void books_clear(void);

/* A write to one line; `from` says which instruction, its `line` and `count` do not matter. False: the books are
 * full. */
bool books_write(const struct line *line, uint32_t writer, const struct site *from);

struct totals books_totals(void);

/* The lines that two threads write, most locked instructions first; at most `room`. Returns how many. */
unsigned books_met(const struct line **lines, unsigned room);
/* What writes it, most first. */
unsigned books_sites(const struct line *line, const struct site **sites, unsigned room);
/* The locked instructions on all the lines that one thread writes, each with the sum of its counts. */
unsigned books_alone(struct site *sites, unsigned room);

#endif
