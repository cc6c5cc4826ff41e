/* The books: the requests alive in a process, and the end of them. Each accept loop has a book of its own. A request
 * that ends in the thread of its loop takes no lock and writes no cache line that another thread writes; one that was
 * handed over costs what handing it back needs. Knows nothing of servers. Private. */
#ifndef BOOKS_H
#define BOOKS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include "places.h"

/* How a request begins. Its memory belongs to its book, which keeps some for the next ones. */
struct sb_entry {
    struct sb_book *book;
    LIST_ENTRY(sb_entry) link;          /* among all that its book has, alive or not; under lock */
    SLIST_ENTRY(sb_entry) free;         /* among those that are not */
    atomic_int connection;              /* what a cut shuts down; or, negative, one of the states below */
    bool settled;                       /* has a place */
};

enum { SB_ENTRY_FREE = -1, SB_ENTRY_OPEN = -2 };     /* OPEN: alive, with nothing that a cut could shut down */

SLIST_HEAD(sb_free_entries, sb_entry);

/* Of one accept loop; its thread alone writes the first part. */
struct sb_book {
    struct sb_books *books;
    struct sb_free_entries idle;
    unsigned n_idle;
    unsigned n_entries;                 /* alive and idle; changed under lock */
    LIST_HEAD(, sb_entry) entries;      /* under lock */
    LIST_ENTRY(sb_book) link;           /* under lock */
    bool open;                          /* a loop uses it; under lock */
    struct sb_share share;              /* its places */
    struct sb_entry *_Atomic returned;  /* entries that other threads have ended, chained by `free` */
};

struct sb_books {
    size_t entry_size;                  /* of a request, bytes */
    struct sb_places places;
    _Alignas(64) atomic_int watching;   /* for the end of requests: sb_books_wait(); hardly ever written, as is: */
    atomic_bool cutting;
    _Alignas(64) pthread_mutex_t lock;  /* guards what is marked so, here and above */
    pthread_cond_t changed;             /* a request has ended while somebody watches */
    LIST_HEAD(, sb_book) list;          /* under lock */
};

/* prepare: nothing is made yet, which finish accepts. init: -EMFILE and the like. finish: all requests have ended, or
 * nobody will end them. */
void sb_books_prepare(struct sb_books *books);
int sb_books_init(struct sb_books *books, size_t entry_size, int limit);
void sb_books_finish(struct sb_books *books);

/* In a forked child: what the parent's other threads did with the books ends here. keep: its requests stay in them, and
 * so does one that this child handles; else they are empty, and -errno where a wakeup of its own cannot be had. */
int sb_books_adopt(struct sb_books *books, bool keep);

/* A book for the loop that begins in this thread, and becomes sb_worker.book; NULL: out of memory. close: the loop ends
 * and gives its places back; requests that it has handed over go on. */
struct sb_book *sb_book_open(struct sb_books *books);
void sb_book_close(struct sb_book *book);

/* A request, zeroed behind its entry, without a place. connection: -1: none that a cut could shut down.
 * NULL: out of memory. */
struct sb_entry *sb_entry_new(struct sb_book *book, int connection);

/* It takes the reserved place. overdraw: one more than there are, for who passes requests on at once. */
static inline void sb_entry_settle(struct sb_entry *entry)
{
    entry->settled = true;
    entry->book->share.reserved = false;
}
void sb_entry_overdraw(struct sb_entry *entry);

/* Its connection is about to be closed: from now on no cut reaches it. */
void sb_entry_disconnect(struct sb_entry *entry);

/* It has ended, and its place is free, if it had one. */
void sb_entry_end(struct sb_entry *entry);

/* Requests alive now. */
unsigned sb_books_count(struct sb_books *books);

/* Waits until none is alive, or the deadline; returns how many are. */
unsigned sb_books_wait(struct sb_books *books, int64_t deadline_ns);

/* Shuts all their connections down. */
void sb_books_cut(struct sb_books *books);

#endif
