/* A server under measurement: `switchboard serve` as a child of this process, from its ready line to its end. */
#ifndef SUBJECT_H
#define SUBJECT_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <switchboard/scoreboard.h>

#define SUBJECT_ARGUMENTS_MAX 32
#define SUBJECT_WHY_SIZE 512

struct subject_plan {
    const char *program;            /* the switchboard program, a path */
    const char *handler, *strategy, *discipline;    /* as for --strategy and --accept; discipline NULL: the default */
    const char *address;            /* "tcp://127.0.0.1:0" */
    const char *arguments[SUBJECT_ARGUMENTS_MAX + 1];   /* more of serve's, NULL-terminated */
    cpu_set_t cpus;                 /* it may use these only */
    int end_ms;                     /* how long it may take to end after SIGTERM; 0: a minute, as only a hang takes */
};

/* A worker that has served, as the scoreboard tells when the load is over. */
struct subject_worker {
    int pid, tid;                   /* tid 0: all requests of this process that had a thread or fiber of their own; both
                                     * 0: all of workers that have ended: children of fork, crashed ones of prefork */
    uint64_t served;
};

struct subject {
    pid_t pid;                      /* 0: not running */
    int end_ms;                     /* as planned */
    struct sb_address address;
    const struct sb_scoreboard *board;
    int stdout_fd;                  /* a pipe that does not block */
    int stderr_fd;                  /* a file in memory with what it said */
    int calls_fd;                   /* the counter of system calls, -1: the kernel does not tell */
    long pss_kb;                    /* the peak of all samples */
    unsigned processes, threads;
    int status;                     /* of wait(2), once it has ended */
    struct rusage usage;            /* its whole life: all processes, those it waited for included */
    int64_t calls;                  /* system calls of its whole life, -1: not known */
};

/* Starts it and waits for the ready line, and until it is quiet: all its workers are there. Its soft limit of
 * descriptors is the hard one. It is in a process group of its own, so that a Control-C is not its, and dies with this
 * process: the thread that calls this must not end before. Returns 0, or -errno with a reason in why: what the server
 * itself said, or what went wrong; nothing is left then. -ECANCELED when *stop gets true meanwhile (NULL: never),
 * -ECHILD when it has ended, -EBADRQC when that was because it calls its command line misuse. Only errors are logged,
 * and requests that still run at its end are cut off after 2 s. */
int subject_start(struct subject *subject, const struct subject_plan *plan, const volatile bool *stop,
                  char why[SUBJECT_WHY_SIZE]);

/* Waits until it is quiet: asleep for several looks, and not woken between them; at most 10 s. 0, -ECHILD when it has
 * ended, -ECANCELED when *stop (may be NULL) gets true, -ENOMEM. */
int subject_settle(struct subject *subject, const volatile bool *stop);

/* Whether for a moment none of its processes and threads runs or wants to, within some milliseconds; also when it has
 * ended. */
bool subject_is_at_rest(struct subject *subject);

/* Looks at its processes now, and raises the peaks; returns its memory, in KB of PSS, 0 when it is gone. Costs some CPU
 * time of the caller for each process. Takes away what the server has written to stdout, which waits there for long
 * when nobody does. */
long subject_sample(struct subject *subject);

/* Whether it still runs; it may have crashed. Sets status and usage when it does not. */
bool subject_is_alive(struct subject *subject);

/* Workers that have served, at most `room`, most first, but those that have ended last; returns how many these are. A
 * worker may not have counted a request yet that its caller knows to be answered: subject_settle(). Before
 * subject_stop(), for at its end all workers have ended; also after a crash. */
unsigned subject_workers(const struct subject *subject, struct subject_worker *workers, unsigned room);

/* Ends it (SIGTERM, after end_ms SIGKILL, its whole group), waits for it and fills status, usage, calls. It may have
 * ended already. */
void subject_stop(struct subject *subject);

/* What it said on stderr, the first lines that fit; "" for nothing. Before subject_free(). */
void subject_complaint(const struct subject *subject, char *text, size_t size);

/* Frees what subject_start() and others have left, running or not, the board too. Twice is once. */
void subject_free(struct subject *subject);

#endif
