/* How many descriptors a process may have (RLIMIT_NOFILE). */
#ifndef DESCRIPTORS_H
#define DESCRIPTORS_H

/* The hard limit, which only root can raise. */
unsigned long descriptors_limit(void);

/* Raises the soft limit of this process to the hard one, and returns that. */
unsigned long descriptors_raise(void);

#endif
