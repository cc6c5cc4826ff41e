/* Follows a program with all its threads and processes through ptrace(2), and counts, instruction by instruction, what
 * they write. One program at a time; all calls from one thread. */
#ifndef LOCKED_TRACE_H
#define LOCKED_TRACE_H

#include <stdbool.h>
#include <stdint.h>

struct counts {
    uint64_t instructions;
    uint64_t locked;            /* of them: LOCK, or an exchange with memory */
    uint64_t kernel_calls, futex_calls;
    uint64_t unknown;           /* that may write somewhere, and nobody knows where */
    uint64_t misjudged;         /* changed memory that they were believed to read only; see trace_audit() */
    unsigned workers;           /* threads that ran code of the watched file */
};

/* Starts argv[0], watching for code of the file `watched` ("upper.so"; NULL: none). The descriptors are its standard
 * input and output. Returns 0 or -errno; -EPERM where nobody may trace. */
int trace_start(char *const argv[], const char *watched, int *ret_input_fd, int *ret_output_fd);

/* Lets it run until done() says so, which is asked every few milliseconds. -ETIMEDOUT, or -ESRCH when all has ended. */
int trace_run(bool (*done)(void *data), void *data, int timeout_ms);

/* From now on in single steps. It takes a trace_run() until it is so everywhere. */
void trace_step(void);
/* Whether every thread is stepped, and sleeps in the kernel. */
bool trace_quiet(void);

/* Clears the counts and the books of lines, and counts from now on; or stops that. To be called when it is quiet. */
void trace_count(bool on);
struct counts trace_counts(void);

/* Before trace_count(): also compares what is only read before and after each instruction. True for a single thread
 * only, because others may write there meanwhile. */
void trace_audit(bool on);

/* Kills and reaps all. */
void trace_end(void);

#endif
