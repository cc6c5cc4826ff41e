#include "change.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { END_TRIES = 4, END_MS = 50 };

/* This program is switchboard-top, or the like, and lies beside it. */
static void be_command(const char *const *words, int fd)
{
    char path[PATH_MAX] = "";
    const char *arguments[CHANGE_WORDS_MAX + 2] = { "switchboard" };
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    char *slash = length > 0 ? strrchr(path, '/') : NULL;
    if (!slash || slash - path + sizeof "/switchboard" > sizeof path)
        _exit(1);
    strcpy(slash, "/switchboard");
    for (int i = 0; words[i] && i < CHANGE_WORDS_MAX; i++)
        arguments[i + 1] = words[i];
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    execv(path, (char *const *)arguments);
    _exit(1);
}

void change_start(struct change *change, const char *const *words)
{
    int ends[2];
    for (int tries = 0; change->pid > 0 && tries < END_TRIES; tries++) {
        poll(&(struct pollfd){ .fd = change->fd, .events = POLLIN }, 1, END_MS);
        change_look(change);            /* who has answered is about to end */
    }
    if (change->pid > 0) {
        snprintf(change->text, sizeof change->text, "the change before is still under way");
        return;
    }
    if (pipe2(ends, O_CLOEXEC) < 0) {
        change->status = -1;
        snprintf(change->text, sizeof change->text, "cannot ask for it: %s", strerror(errno));
        return;
    }
    change->pid = fork();
    if (change->pid == 0)
        be_command(words, ends[1]);
    close(ends[1]);
    change->fd = ends[0];
    fcntl(change->fd, F_SETFL, O_NONBLOCK);
    snprintf(change->text, sizeof change->text, "%s ...", words[0]);
    if (change->pid > 0)
        return;
    snprintf(change->text, sizeof change->text, "cannot ask for it: %s", strerror(errno));
    close(change->fd);
    change->pid = 0;
    change->status = -1;
}

/* Its last line is the answer. */
static void keep(char *text, const char *said)
{
    const char *line = said;
    for (const char *next = said; *next; next = next[strcspn(next, "\n")] ? next + strcspn(next, "\n") + 1 : "")
        line = next;
    snprintf(text, sizeof ((struct change *)0)->text, "%.*s", (int)strcspn(line, "\n"), line);
}

void change_look(struct change *change)
{
    char said[2048];
    if (change->pid <= 0)
        return;
    ssize_t size = read(change->fd, said, sizeof said - 1);
    if (size > 0) {
        said[size] = '\0';
        keep(change->text, said);
    }
    if (size < 0)
        return;
    if (size == 0) {
        waitpid(change->pid, &change->status, 0);
        change_finish(change);
    }
}

void change_finish(struct change *change)
{
    if (change->pid > 0)
        close(change->fd);
    change->pid = 0;
}
