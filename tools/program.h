/* What every program here does first and last. */
#ifndef PROGRAM_H
#define PROGRAM_H

/* The first call of main(). As process 1 of a container the program goes on in a child, and never there (init.h).
 * Standard descriptors that whoever starts us has closed are filled, no signal is blocked any more, and when the program
 * ends by exit(3), its output is checked: what could not be written is said in a sentence, and status 0 becomes 1.
 * name: as in "switchboard client"; it stays the caller's and must last. */
void program_begin(const char *name);

/* A better name for sentences, once the command is known. */
void program_rename(const char *name);

/* A child that was forked, and goes on as the same program: what it writes is looked at, but that nothing can be written
 * is for its parent to say. */
void program_fork(void);

/* Writes what is buffered for standard output. 0, or -errno, which has been said: once, and not where the reader of a
 * pipe has left. */
int program_flush(void);

/* The reader of standard output has left, and that is no failure here: what else is written is for nobody. */
void program_mute(void);

#endif
