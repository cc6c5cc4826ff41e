#include "books.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "ground/clock.h"
#include "ground/thread.h"
#include "worker.h"

/* Entries that a book keeps for its next requests, beside as many as are alive. With a sanitizer none: it shall see who
 * uses one that has ended. */
#if defined(__SANITIZE_ADDRESS__)
#define KEPT_ENTRIES 0
#else
#define KEPT_ENTRIES 64
#endif

/* --- all of a process's ------------------------------------------------------------------------------------------- */

static void init_lock(struct sb_books *books)
{
    pthread_mutex_init(&books->lock, NULL);
    sb_condition_init(&books->changed);
}

void sb_books_prepare(struct sb_books *books)
{
    LIST_INIT(&books->list);
    init_lock(books);
    sb_places_prepare(&books->places);
}

int sb_books_init(struct sb_books *books, size_t entry_size, int limit)
{
    books->entry_size = entry_size;
    return sb_places_init(&books->places, limit);
}

/* Another thread of the parent may have held the lock, or waited for a change. */
int sb_books_adopt(struct sb_books *books, bool keep)
{
    init_lock(books);
    atomic_store(&books->watching, 0);
    atomic_store(&books->cutting, false);
    if (!keep) {
        LIST_INIT(&books->list);
        sb_worker.book = NULL;
    }
    return sb_places_adopt(&books->places, keep);
}

static void free_book(struct sb_book *book)
{
    struct sb_entry *entry;
    while ((entry = LIST_FIRST(&book->entries)) != NULL) {
        LIST_REMOVE(entry, link);
        free(entry);
    }
    LIST_REMOVE(book, link);
    sb_share_forget(&book->share);
    free(book);
}

void sb_books_finish(struct sb_books *books)
{
    struct sb_book *book;
    while ((book = LIST_FIRST(&books->list)) != NULL)
        free_book(book);
    sb_places_finish(&books->places);
    pthread_mutex_destroy(&books->lock);
    pthread_cond_destroy(&books->changed);
}

/* With the lock held. */
static unsigned count(const struct sb_books *books)
{
    const struct sb_book *book;
    const struct sb_entry *entry;
    unsigned n = 0;
    LIST_FOREACH(book, &books->list, link)
        LIST_FOREACH(entry, &book->entries, link)
            n += atomic_load(&entry->connection) != SB_ENTRY_FREE;
    return n;
}

unsigned sb_books_count(struct sb_books *books)
{
    pthread_mutex_lock(&books->lock);
    unsigned n = count(books);
    pthread_mutex_unlock(&books->lock);
    return n;
}

/* With the lock held: false when the deadline has passed. */
static bool wait_for_change(struct sb_books *books, int64_t deadline_ns)
{
    if (deadline_ns == NEVER)
        return pthread_cond_wait(&books->changed, &books->lock) == 0;
    struct timespec deadline = { .tv_sec = deadline_ns / 1000000000, .tv_nsec = deadline_ns % 1000000000 };
    return pthread_cond_timedwait(&books->changed, &books->lock, &deadline) == 0;
}

unsigned sb_books_wait(struct sb_books *books, int64_t deadline_ns)
{
    pthread_mutex_lock(&books->lock);
    atomic_fetch_add(&books->watching, 1);
    bool in_time = true;
    unsigned left;
    while ((left = count(books)) > 0 && in_time)
        in_time = wait_for_change(books, deadline_ns);
    atomic_fetch_sub(&books->watching, 1);
    pthread_mutex_unlock(&books->lock);
    return left;
}

/* Who closes a connection first makes it unknown here, and then, when it finds us at work, waits until we are done: so
 * none that we know can have become another's. */
void sb_books_cut(struct sb_books *books)
{
    const struct sb_book *book;
    const struct sb_entry *entry;
    pthread_mutex_lock(&books->lock);
    atomic_store(&books->cutting, true);
    LIST_FOREACH(book, &books->list, link)
        LIST_FOREACH(entry, &book->entries, link) {
            int connection = atomic_load(&entry->connection);
            if (connection >= 0)
                shutdown(connection, SHUT_RDWR);
        }
    atomic_store(&books->cutting, false);
    pthread_mutex_unlock(&books->lock);
}

/* --- a loop's book ------------------------------------------------------------------------------------------------ */

/* With the lock held. */
static struct sb_book *find_book(struct sb_books *books)
{
    struct sb_book *book;
    LIST_FOREACH(book, &books->list, link)
        if (!book->open)
            return book;
    book = aligned_alloc(_Alignof(struct sb_book), sizeof *book);
    if (!book)
        return NULL;
    memset(book, 0, sizeof *book);
    book->books = books;
    sb_share_open(&book->share, &books->places);
    LIST_INSERT_HEAD(&books->list, book, link);
    return book;
}

struct sb_book *sb_book_open(struct sb_books *books)
{
    pthread_mutex_lock(&books->lock);
    struct sb_book *book = find_book(books);
    if (book)
        book->open = true;
    pthread_mutex_unlock(&books->lock);
    return sb_worker.book = book;
}

void sb_book_close(struct sb_book *book)
{
    sb_worker.book = NULL;
    sb_share_close(&book->share);
    pthread_mutex_lock(&book->books->lock);
    book->open = false;
    pthread_mutex_unlock(&book->books->lock);
}

/* --- a request's entry -------------------------------------------------------------------------------------------- */

static void keep_idle(struct sb_book *book, struct sb_entry *entry)
{
    SLIST_INSERT_HEAD(&book->idle, entry, free);
    book->n_idle++;
}

static bool keeps_too_many(const struct sb_book *book)
{
    return book->n_idle > (KEPT_ENTRIES == 0 ? 0 : KEPT_ENTRIES + book->n_entries - book->n_idle);
}

/* Two for each that ends, so that a peak goes back as it ends and not in one long step. */
static void trim(struct sb_book *book)
{
    if (!keeps_too_many(book))
        return;
    pthread_mutex_lock(&book->books->lock);
    for (int i = 0; i < 2 && keeps_too_many(book); i++) {
        struct sb_entry *entry = SLIST_FIRST(&book->idle);
        SLIST_REMOVE_HEAD(&book->idle, free);
        LIST_REMOVE(entry, link);
        book->n_idle--;
        book->n_entries--;
        free(entry);
    }
    pthread_mutex_unlock(&book->books->lock);
}

static void fetch_returned(struct sb_book *book)
{
    struct sb_entry *entry, *next;
    if (atomic_load_explicit(&book->returned, memory_order_relaxed) == NULL)
        return;
    for (entry = atomic_exchange(&book->returned, NULL); entry; entry = next) {
        next = SLIST_NEXT(entry, free);
        keep_idle(book, entry);
        trim(book);
    }
}

static struct sb_entry *add_entry(struct sb_book *book)
{
    struct sb_entry *entry = malloc(book->books->entry_size);
    if (!entry)
        return NULL;
    entry->book = book;
    atomic_init(&entry->connection, SB_ENTRY_FREE);
    pthread_mutex_lock(&book->books->lock);
    LIST_INSERT_HEAD(&book->entries, entry, link);
    book->n_entries++;
    pthread_mutex_unlock(&book->books->lock);
    return entry;
}

struct sb_entry *sb_entry_new(struct sb_book *book, int connection)
{
    if (SLIST_EMPTY(&book->idle))
        fetch_returned(book);
    struct sb_entry *entry = SLIST_FIRST(&book->idle);
    if (entry) {
        SLIST_REMOVE_HEAD(&book->idle, free);
        book->n_idle--;
    } else if (!(entry = add_entry(book))) {
        return NULL;
    }
    entry->settled = false;
    memset(entry + 1, 0, book->books->entry_size - sizeof *entry);
    atomic_store_explicit(&entry->connection, connection >= 0 ? connection : SB_ENTRY_OPEN, memory_order_release);
    return entry;
}

/* With the lock once in hand whoever was cutting is done. */
void sb_entry_disconnect(struct sb_entry *entry)
{
    struct sb_books *books = entry->book->books;
    if (atomic_load_explicit(&entry->connection, memory_order_relaxed) < 0)
        return;
    atomic_exchange(&entry->connection, SB_ENTRY_OPEN);
    if (atomic_load(&books->cutting)) {
        pthread_mutex_lock(&books->lock);
        pthread_mutex_unlock(&books->lock);
    }
}

static void give_back(struct sb_book *book, struct sb_entry *entry)
{
    struct sb_entry *first = atomic_load_explicit(&book->returned, memory_order_relaxed);
    do
        SLIST_NEXT(entry, free) = first;
    while (!atomic_compare_exchange_weak(&book->returned, &first, entry));
}

void sb_entry_overdraw(struct sb_entry *entry)
{
    entry->settled = true;
    sb_share_overdraw(&entry->book->share);
}

void sb_entry_end(struct sb_entry *entry)
{
    struct sb_book *book = entry->book;
    struct sb_books *books = book->books;
    bool own = sb_worker.book == book;
    sb_entry_disconnect(entry);     /* where nobody has closed it */
    atomic_exchange(&entry->connection, SB_ENTRY_FREE);
    if (entry->settled)
        sb_share_return(&book->share, own);
    if (own) {
        keep_idle(book, entry);
        trim(book);
    } else {
        give_back(book, entry);
    }
    if (atomic_load(&books->watching) > 0) {
        pthread_mutex_lock(&books->lock);
        pthread_cond_broadcast(&books->changed);
        pthread_mutex_unlock(&books->lock);
    }
}
