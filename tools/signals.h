/* Signals as commands take them. None is ever ignored: a program that a command starts would ignore it too, for execve(2)
 * keeps that, while it resets a handler to the default. */
#ifndef SIGNALS_H
#define SIGNALS_H

#include <signal.h>

/* Lets all signals through, whatever whoever started us has blocked; or none. */
void signals_unblock(void);
void signals_block(void);

/* In a child, before another program: each is its default again, and none is blocked. */
void signals_reset(void);

/* SIGHUP stays ignored where it is, as nohup(1) wants it, whatever of the following is asked for. */

/* The first such signal calls `end` in the signal handler, which must make the command end in order; a second one of the
 * same kind ends the process at once (signals_leave). */
void signals_end_by(int signo, void (*end)(int signo));

/* The signal does nothing but interrupt. */
void signals_survive(int signo);

/* Each such signal calls `obey` in the signal handler. */
void signals_obey(int signo, void (*obey)(int signo, siginfo_t *info, void *context));

/* Ends the process as the signal's default does; as process 1, which no default ends, with status 128 + signo.
 * Async-signal-safe. */
__attribute__((noreturn)) void signals_leave(int signo);

#endif
