/* Children: forked, watched by pidfd, and only our own ever waited for. Private. */
#ifndef CHILD_H
#define CHILD_H

#include <signal.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include "objects.h"

/* Of each process that forks. */
struct sb_reaper {
    int fd;                     /* epoll of the children's pidfds: readable when one can be reaped; -1: none yet */
    bool ended;                 /* a loop has seen it readable: service_actions reaps */
    bool serves_in_main;        /* the serving thread is the main thread of its process */
    sigset_t handled;           /* signals with a handler of the program's when serving began */
};

struct sb_child {
    LIST_ENTRY(sb_child) link;
    pid_t pid, parent;
    int pidfd;
    int64_t born_ns;
    struct sb_slot *slot;           /* claimed for it before the fork */
    struct sb_request *request;     /* fork: what it handles; the parent keeps the books, not the descriptor */
    bool killed;                    /* by us, at the drain deadline */
    unsigned worker;                /* prefork: which one */
    int status;                     /* once reaped: of waitpid(2) */
};

/* Those that one strategy has started. */
struct sb_children {
    LIST_HEAD(, sb_child) list;
    struct epoll_event ended[16];   /* a batch of them, from next_ended to n_ended not yet reaped */
    int n_ended, next_ended;
};

struct sb_reaper *sb_reaper_create(void);
void sb_reaper_destroy(struct sb_reaper *reaper);

/* Makes the reaper's descriptor, once in each process that forks; gates opened after this watch it. */
int sb_children_open(struct sb_server *server);

/* Remembers which signals have a handler, so that a child can reset just these. */
void sb_child_note_signals(struct sb_server *server);

/* Forks. Where the program handles a signal, the child has the default, but for SIGHUP, SIGINT, SIGQUIT and SIGTERM a
 * handler that does nothing: a terminal, or systemd, sends them to parent and children alike, and the parent decides
 * when its children end; and so for SIGPIPE. Ignored they would be in the programs, too, that a handler starts. It
 * calls run and leaves by _exit with what that returns. child is the strategy's from then on, until sb_child_reap()
 * gives it back. Errors: -EAGAIN, -ENOMEM, -EMFILE. */
int sb_child_start(struct sb_server *server, struct sb_children *children, struct sb_child *child,
                   int (*run)(struct sb_server *server, struct sb_child *child));

/* The exit status of a worker that could not begin to serve because of an error (-errno), and back: 0: another. */
int sb_child_failure_status(int error);
int sb_child_failure(const struct sb_child *child);

/* A child that has ended, out of the list; the caller frees it. NULL: none has. */
struct sb_child *sb_child_reap(struct sb_server *server, struct sb_children *children);

/* Waits for all until timeout_ms, then kills the rest. */
void sb_children_drain(struct sb_server *server, struct sb_children *children, int timeout_ms,
                       void (*reaped)(struct sb_server *server, struct sb_child *child));

/* Forgets those that still run: nobody will wait for them. */
void sb_children_abandon(struct sb_server *server, struct sb_children *children,
                         void (*forgotten)(struct sb_server *server, struct sb_child *child));

/* Whether a handler has forked this process, and not ended it before it came back. end_stray: says so and ends it: its
 * parent serves. */
bool sb_child_strays(void);
__attribute__((noreturn)) void sb_child_end_stray(const struct sb_server *server);

#endif
