#include "target.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "arguments.h"

int target_find(const char *text, struct sb_ledger *ret_ledger, pid_t *ret_pid)
{
    long long pid;
    *ret_pid = argument_is_whole(text, 1, INT_MAX, &pid) ? (pid_t)pid : 0;
    return *ret_pid > 0 ? sb_ledger_read(*ret_pid, ret_ledger) : sb_ledger_find(text, ret_ledger);
}

const char *target_explain(int error)
{
    switch (error) {
    case -EACCES:
        return "it belongs to another user";
    case -EPROTO:
        return "it is a server of another version of switchboard";
    default:
        return strerror(-error);
    }
}
