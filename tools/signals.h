/* Signals as commands take them. None is ever ignored: a program that a command starts would ignore it too, for execve(2)
 * keeps that, while it resets a handler to the default. */
#ifndef SIGNALS_H
#define SIGNALS_H

/* Lets all signals through, whatever whoever started us has blocked. */
void signals_unblock(void);

/* The first such signal calls `end` in the signal handler, which must make the command end in order; a second one of the
 * same kind ends the process at once (signals_leave). SIGHUP stays ignored where it is, as nohup(1) wants it. */
void signals_end_by(int signo, void (*end)(int signo));

/* The signal does nothing but interrupt. */
void signals_survive(int signo);

/* Ends the process as the signal's default does; as process 1, which no default ends, with status 128 + signo.
 * Async-signal-safe. */
__attribute__((noreturn)) void signals_leave(int signo);

#endif
