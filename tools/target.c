#include "target.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"

int target_find(const char *text, struct sb_ledger *ret_ledger, pid_t *ret_pid)
{
    long long pid;
    *ret_pid = argument_is_whole(text, 1, INT_MAX, &pid) ? (pid_t)pid : 0;
    return *ret_pid > 0 ? sb_ledger_read(*ret_pid, ret_ledger) : sb_ledger_find(text, ret_ledger);
}

unsigned target_list(pid_t *ret_pids, unsigned room)
{
    struct sb_ledger ledger;
    unsigned count = 0;
    DIR *folder = opendir("/proc");
    for (struct dirent *entry; folder && (entry = readdir(folder)) != NULL;) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid <= 0 || sb_ledger_read(pid, &ledger) < 0 || ledger.pid != pid)
            continue;
        if (count < room)
            ret_pids[count] = pid;
        count++;
    }
    if (folder)
        closedir(folder);
    return count;
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
