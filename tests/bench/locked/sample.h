/* A program of which it is known what it writes, for --self-test. */
#ifndef LOCKED_SAMPLE_H
#define LOCKED_SAMPLE_H

/* Two threads of one process and one of another. Each byte on standard input sends each of them through its round. */
enum { SAMPLE_WORKERS = 3, SAMPLE_THREADS = 2 };

/* In each worker's round. */
enum {
    OWN_LOCKED = 100,       /* on a line that nobody else writes */
    MET_LOCKED = 70,        /* on a line that both threads write; in the other process, on its copy */
    SHARED_LOCKED = 50,     /* on a line that all three write, at another address in the other process */
    MET_TIMES = 20,         /* each of the forms of a store, on lines as with MET_LOCKED */
};

/* How many kinds of plain stores this machine has. */
unsigned sample_forms(void);
int sample_main(void);

#endif
