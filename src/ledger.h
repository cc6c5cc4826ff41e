/* What a supervisor writes down for others to read (switchboard/scoreboard.h). Private. */
#ifndef LEDGER_H
#define LEDGER_H

#include <switchboard/scoreboard.h>

struct sb_ledger_book {
    int fd;                         /* memfd, by which readers find it */
    struct sb_ledger *shared;
};

/* name, control: NULL: none; they fit. -EMFILE and the like. */
int sb_ledger_open(struct sb_ledger_book *book, const char *name, const char *control);
void sb_ledger_close(struct sb_ledger_book *book);

/* The ledger that is behind a descriptor, which is then the book's: -EPROTO: another version's. */
int sb_ledger_reopen(struct sb_ledger_book *book, int fd);

/* One entry changes. */
void sb_ledger_write(struct sb_ledger_book *book, unsigned n, const struct sb_ledger_entry *entry);

/* A generation has ended: its entry is free, and what it did counts. board: its, or NULL where it never had one. */
void sb_ledger_settle(struct sb_ledger_book *book, unsigned n, const struct sb_scoreboard *board);

#endif
