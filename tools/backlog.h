/* How many callers wait in the kernel for a process to accept them: what it tells of sockets that are not ours
 * (sock_diag(7)). */
#ifndef BACKLOG_H
#define BACKLOG_H

#include <sys/types.h>

/* At all listening sockets of the process. -ENOENT: it has none, or in another network namespace; -EACCES: it is not
 * ours; -ESRCH: there is none; or what else the kernel says. */
int backlog_count(pid_t pid);

#endif
