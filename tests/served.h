/* The real command, started for a test and talked to by plain sockets. Every wait has a deadline, which only
 * what hangs meets; what goes wrong fails the test. A server ends with the process that has started it, also when that
 * is killed. */
#ifndef SERVED_H
#define SERVED_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define DEADLINE_MS 120000

struct served {
    pid_t pid;                  /* of the command, and so of the supervisor */
    pid_t serving;              /* of the generation; of --once the same */
    int out, err;               /* pipes of its standard output and standard error */
    char address[160];          /* as its ready line says */
    char folder[32];            /* a temporary one, for Unix sockets */
    char log[16384];            /* what served_says() has read of its standard error */
    size_t length, seen;
};

/* Starts `switchboard serve`, in a process group of its own, with a NULL-terminated list of arguments; in "unix:SOCKET"
 * and "unixgram:SOCKET", SOCKET is replaced by a path in the temporary folder. Returns after the first ready line. */
struct served served_start(const char *const *arguments);

/* The same for a command that must fail: its exit status, and what it says on standard error. */
int served_fails(const char *const *arguments, char *text, size_t size);

/* Sends signo (0: none), waits, removes the folder. Returns the exit status, or 256 + the signal that ended it. */
int served_end(struct served *served, int signo);

/* For a suite's .fini: ends what a failed test has left running. */
void served_kill_all(void);

/* Waits until its standard error says a text, behind what an earlier call has found. */
void served_says(struct served *served, const char *text);

/* A connected socket with a receive timeout. A datagram socket of its own address. */
int dial(const char *address);

void say(int fd, const void *data, size_t size);
void hear(int fd, const void *data, size_t size);
void hear_end(int fd);

/* Closes with a reset. */
void hang_up(int fd);

/* What is left of a process: descriptors, threads, children. */
int count_descriptors(pid_t pid);
int count_threads(pid_t pid);
int count_children(pid_t pid);

#endif
