/* Sockets that outlive the server at them: what one generation hands to the next. Knows nothing of servers. Private. */
#ifndef HELD_H
#define HELD_H

#include <stdbool.h>
#include <sys/queue.h>
#include <sys/types.h>

/* A Unix socket's file, made by a server whose sockets these are. UNKNOWN: it could not be looked at. */
enum sb_held_file { SB_NO_FILE, SB_OWN_FILE, SB_UNKNOWN_FILE };

/* The sockets of one bound address. */
struct sb_held {
    TAILQ_ENTRY(sb_held) link;
    unsigned call;                  /* the how-manieth address a server asked for, from 0: of a name they are several */
    char *requested, *bound;        /* the text it gave, "localhost:0", and what came of it, "tcp://127.0.0.1:4711" */
    int *fds;
    unsigned count;
    enum sb_held_file file;
    dev_t device;                   /* which it is, where it is ours */
    ino_t inode;
};

TAILQ_HEAD(sb_held_list, sb_held);

/* Whether the address is a descriptor itself, and so brings no file of ours. */
bool sb_held_is_foreign(const struct sb_held *held);

/* Adds sockets, which are the list's from then on, to the address that was added last, if they are its. -ENOMEM: they
 * are still the caller's. */
int sb_held_add(struct sb_held_list *list, unsigned call, const char *requested, const char *bound, const int *fds,
                unsigned count);

/* An address that could not be added: its file, if that is new, goes. */
void sb_held_discard(const struct sb_held_list *list, const char *requested, const char *bound);

/* Is told of a file that stays though it should go; NULL: nobody is. */
typedef void sb_held_left(void *data, const char *path, const char *why);

/* Closes and frees all. replace: by those of `successors`, which is empty then; files that these do not have go. Of the
 * same address which file it is stays known, and what was given by number keeps its number. */
void sb_held_finish(struct sb_held_list *list);
void sb_held_replace(struct sb_held_list *list, struct sb_held_list *successors, sb_held_left *left, void *data);

/* While there are more sockets at an address than these (SO_REUSEPORT), the kernel deals callers out to these alone; until
 * all are dealt out to again. Where the system cannot do so, it deals them out to all. */
void sb_held_prefer(const struct sb_held *held);
void sb_held_spread(const struct sb_held_list *list);

/* Closes all sockets; what else is known of them stays. */
void sb_held_close(struct sb_held_list *list);

/* Removes the files that are still theirs, but for those that others have, too; NULL: all. */
void sb_held_unlink(const struct sb_held_list *list, const struct sb_held_list *others, sb_held_left *left, void *data);

/* The first of a call that asked for the same, and those behind it. NULL: none. */
struct sb_held *sb_held_find(const struct sb_held_list *list, unsigned call, const char *requested);
struct sb_held *sb_held_next(const struct sb_held *held);

#endif
