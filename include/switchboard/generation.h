/* Generations: a server that changes while it serves, and loses no caller by it.
 *
 * The supervisor is a process that loads no plugin and serves nobody. Who serves is its child, a generation. A change is
 * the next generation: it takes the sockets over, says that it is ready or why not, and both accept for a moment; then
 * the old one stops accepting and ends when its last caller has left. What is refused, or dies within a second, changes
 * nothing.
 *
 *     static int serve(struct sb_generation *generation, void *wish)      // in a process of its own
 *     {
 *         struct sb_config config = SB_CONFIG_DEFAULTS;
 *         config.generation = generation;
 *         if (sb_server_create(sb_tcp_server, "127.0.0.1:9999", SB_HANDLERS(load(wish)), &config, &server) < 0)
 *             return 1;
 *         ... SIGTERM: sb_server_stop(server), SIGQUIT: sb_server_stop_now(server), SIGUSR1: sb_server_retire(server)
 *         int r = sb_server_serve_forever(server);
 *         sb_server_destroy(server);
 *         return r < 0;
 *     }
 *
 *     struct sb_supervision supervision = SB_SUPERVISION_DEFAULTS;
 *     supervision.serve = serve;
 *     sb_supervisor_create(&supervision, &supervisor);
 *     ... SIGHUP: sb_supervisor_reload(supervisor), SIGTERM: sb_supervisor_stop(supervisor)
 *     int status;
 *     return sb_supervisor_run(supervisor, "upper", &status) < 0 || status != 0;
 *
 * A supervisor belongs to one thread; what may be called from elsewhere says so. */
#ifndef SWITCHBOARD_GENERATION_H
#define SWITCHBOARD_GENERATION_H

#include <stdbool.h>
#include <stdint.h>
#include <switchboard/server.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* --- in a generation ---------------------------------------------------------------------------------------------- */

/* This process's end of the talk with its supervisor; sb_config.generation has it from there. */
struct sb_generation;

/* 1 for the first. */
unsigned sb_generation_number(const struct sb_generation *generation);

/* Why it will not serve, in a sentence, for who has asked for the change. What a server with config.generation logs as
 * an error before it is ready is told by itself. */
void sb_generation_refuse(struct sb_generation *generation, const char *why);

/* --- the supervisor ----------------------------------------------------------------------------------------------- */

struct sb_supervisor;

enum sb_change {
    SB_CHANGE_READY,        /* the first generation serves */
    SB_CHANGE_DONE,         /* a next one does, and the one before accepts nobody any more */
    SB_CHANGE_REFUSED,      /* it does not, and nothing has changed */
    SB_CHANGE_ENDED,        /* a generation that had a successor has ended */
    SB_CHANGE_DIED,         /* the one that served has ended by itself; under `restart` another will be started */
    SB_CHANGE_LEFT,         /* the file of a Unix socket stays though it should go: nothing else is said of it */
};

/* What has happened. Texts are the supervisor's, until the callback returns. */
struct sb_change_report {
    enum sb_change change;
    unsigned number;            /* of the generation */
    pid_t pid;                  /* its process */
    void *wish;                 /* what it was started with */
    const char *why;            /* REFUSED: the reason; DIED: what became of it; LEFT: which, and why; else NULL */
    bool has_told;              /* DIED: that is what it has said itself */
    unsigned former;            /* DONE: the number of the one before; 0: it has died */
    unsigned carried;           /* DONE: requests that it still had */
    int64_t ready_ns;           /* READY, DONE: from its start until it was ready */
    int64_t took_ns;            /* DONE, REFUSED: from its start until now; ENDED: since it was asked to retire */
    int64_t pause_ns;           /* DIED, under restart: until the next start */
};

struct sb_supervision {
    /* The whole life of a generation, in a child process that has what its parent had at the fork; returns its exit
     * status, 0 to 255. It makes one server with config.generation. The supervisor's process sends SIGTERM
     * (sb_server_stop), SIGQUIT (sb_server_stop_now) and SIGUSR1 (sb_server_retire), each by sigqueue(3). wish: what the
     * change was asked for with. */
    int (*serve)(struct sb_generation *generation, void *wish);
    void (*report)(void *data, const struct sb_change_report *report);  /* NULL: nobody wants to know */
    void *data;
    const char *name;           /* by which others find it (scoreboard.h), at most 63 bytes; NULL: by pid alone */
    const char *control;        /* how it can be asked for changes, at most 107 bytes, for those who find it; or NULL */
    int retire_timeout_ms;      /* how long the requests of a generation with a successor may take; -1: without limit */
    int drain_timeout_ms;       /* the same once all are told to stop */
    bool restart;               /* one that dies has a successor, after a pause of 0.1 s that doubles up to 10 s */
};
#define SB_SUPERVISION_DEFAULTS { .serve = NULL, .report = NULL, .data = NULL, .name = NULL, .control = NULL,           \
    .retire_timeout_ms = -1, .drain_timeout_ms = 5000, .restart = false }

/* -EINVAL: a text too long, or no serve; -EMFILE and the like. *ret_supervisor: the caller's, sb_supervisor_destroy().
 * After sb_supervisor_exec() it takes everything over: what is not to be had then is tried again for half a minute, and
 * -EPROTO is that it cannot be read. In the trial before that it does not return where it could. */
int sb_supervisor_create(const struct sb_supervision *supervision, struct sb_supervisor **ret_supervisor);

/* Kills what still runs, and frees; NULL is allowed. The files of Unix sockets go, or are reported. */
void sb_supervisor_destroy(struct sb_supervisor *supervisor);

/* Starts the first generation, or the next; a report will say what became of it. wish is the caller's, and must last
 * as long as a generation may be started with it. -EBUSY: a change is under way; -ECANCELED: it is ending; -EAGAIN,
 * -ENOMEM, -EMFILE: no process; -E2BIG: SB_GENERATIONS_MAX are there already. */
int sb_supervisor_change(struct sb_supervisor *supervisor, void *wish);

/* Whether a change would be -EBUSY. */
bool sb_supervisor_is_busy(const struct sb_supervisor *supervisor);

/* Asks for a change to the wish that serves, as soon as none is under way; several at once are one. Of the end: each
 * generation is told to stop, and who runs has drain_timeout_ms; or no time. From any thread and from signal
 * handlers. */
void sb_supervisor_reload(struct sb_supervisor *supervisor);
void sb_supervisor_stop(struct sb_supervisor *supervisor);
void sb_supervisor_stop_now(struct sb_supervisor *supervisor);

/* For programs with a loop of their own: a descriptor that is readable when sb_supervisor_turn() has something to do,
 * and that. It does not wait, and calls report. 1: go on; 0: all generations have ended, *ret_status is that of the last
 * that served, as of waitpid(2); or -errno. */
int sb_supervisor_fileno(const struct sb_supervisor *supervisor);
int sb_supervisor_turn(struct sb_supervisor *supervisor, int *ret_status);

/* Starts the first generation and takes turns until all have ended: 0, or -errno. */
int sb_supervisor_run(struct sb_supervisor *supervisor, void *wish, int *ret_status);

/* The program's file anew, in place: execve(2) of `path` in this process, which keeps its pid, its generations and their
 * sockets; what runs, serves on. Before that it is tried in a child with the same arguments, for ten seconds at most: it
 * has to come as far as sb_supervisor_create(), and may do nothing before that others notice. Returns only where it
 * fails, and nothing has happened: -errno, -ENOEXEC when it would not take over, -EBUSY and -ECANCELED as
 * sb_supervisor_change(), also when a stop is asked for meanwhile; with a sentence in `why`, of why_size bytes. SIGCHLD
 * must not be ignored, and nobody else wait for that child.
 *
 * Every signal is blocked then, and the next program should unblock them when its handlers are in place. It is the same
 * program: it calls sb_supervisor_create() with the same name, and has `note` from sb_supervisor_note(). It should begin
 * with a change, for who serves is still of the program before, and its generations' wishes are NULL until one is
 * done. */
#define SB_RENEWAL_VARIABLE "SWITCHBOARD_RENEWAL"       /* in the environment, between the two, and in the trial, */
#define SB_RENEWAL_TRIAL "trial:"                       /* where its value begins so */
int sb_supervisor_exec(struct sb_supervisor *supervisor, const char *path, char *const argv[], const char *note,
                       char *why, size_t why_size);

/* What the program before this one has left for it; NULL: there was none, and nothing was taken over. */
const char *sb_supervisor_note(const struct sb_supervisor *supervisor);

/* Of the generation that serves: its n-th address as sb_server_address(), NULL behind the last; strategy and handler,
 * NULL before the first is ready. Good until the next turn. */
const char *sb_supervisor_address(const struct sb_supervisor *supervisor, unsigned n);
const char *sb_supervisor_strategy(const struct sb_supervisor *supervisor);
const char *sb_supervisor_handler_name(const struct sb_supervisor *supervisor);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
