/* How many system calls a process and all its descendants make, and how often they leave a processor
 * (perf_event_open(2)). */
#ifndef CALLS_H
#define CALLS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A counter that begins when the process calls execve(2) next. Returns a descriptor, or -errno: mostly -EACCES or
 * -ENOENT, for only root may count, and only where the kernel has tracepoints. */
int calls_open(pid_t pid);

/* The same of context switches, for which no tracepoint is needed. */
int switches_open(pid_t pid);

/* Until now; once all of them have ended, in their whole life. -1: not known. */
int64_t calls_read(int fd);

/* Whether this process may count at all. */
bool calls_can_be_counted(void);

#endif
