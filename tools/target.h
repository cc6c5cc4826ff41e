/* A running server as people name it: by its pid, or by the name that serve was given. */
#ifndef TARGET_H
#define TARGET_H

#include <switchboard/scoreboard.h>

/* Its ledger: 0, or as sb_ledger_read() and sb_ledger_find(). *ret_pid: the pid that the text is; 0: it is a name. */
int target_find(const char *text, struct sb_ledger *ret_ledger, pid_t *ret_pid);

/* What such an error means, but for -ENOENT, of which each command knows more. */
const char *target_explain(int error);

#endif
