/* The design `uring` of bare.c: a single thread and io_uring as Linux 6.1 has it. */
#ifndef BENCH_BARE_H
#define BENCH_BARE_H

void bare_uring_init(int listener);
_Noreturn void bare_uring_serve(void);

#endif
