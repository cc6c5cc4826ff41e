#include "ask.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <switchboard/switchboard.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "program.h"
#include "serve/control.h"
#include "target.h"

static int complain(const char *command, const char *target, const char *why)
{
    fprintf(stderr, "switchboard %s: %s: %s\n", command, target, why);
    return -1;
}

static int find(const char *command, const char *target, struct sb_ledger *ret_ledger)
{
    pid_t pid;
    int r = target_find(target, ret_ledger, &pid);
    if (r == -ENOENT)
        return complain(command, target, pid > 0 ? "no server with that pid can be changed while it runs; 'serve' "
                        "prints it in its listening line" : "no server of yours has that name ('serve --name')");
    if (r < 0)
        return complain(command, target, target_explain(r));
    return ret_ledger->control[0] != '\0' ? 0 : complain(command, target, "it has no control socket");
}

/* By its own root directory, for a service may have a /tmp to itself. */
static int dial(const struct sb_ledger *ledger)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t room = sizeof address.sun_path;
    if (snprintf(address.sun_path, room, "/proc/%d/root%s", (int)ledger->pid, ledger->control) >= (int)room)
        snprintf(address.sun_path, room, "%s", ledger->control);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    int r = -errno;
    if (fd >= 0)
        close(fd);
    return r;
}

static int send_words(int fd, const char *const *words)
{
    char packet[CONTROL_PACKET_SIZE];
    size_t size = 0;
    for (; *words; words++) {
        size_t length = strlen(*words) + 1;
        if (length > sizeof packet - size)
            return -EMSGSIZE;
        memcpy(packet + size, *words, length);
        size += length;
    }
    return send(fd, packet, size, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* The first answer settles it; what follows is told. -1: there was none. */
static int hear_answers(const char *command, int fd, bool waits)
{
    char answer[CONTROL_PACKET_SIZE];
    int status = -1;
    ssize_t size;
    while ((size = recv(fd, answer, sizeof answer - 1, 0)) > 0 || (size < 0 && errno == EINTR)) {
        if (size < 0)
            continue;
        answer[size] = '\0';
        bool done = strcmp(answer, CONTROL_DONE) == 0;
        const char *text = answer + strlen(answer) + 1;
        if (text > answer + size)
            continue;
        if (!done)
            fprintf(stderr, "switchboard %s: nothing has changed: %s\n", command, text);
        else if (printf("%s\n", text) < 0 || program_flush() < 0)
            status = 1;
        if (status < 0)
            status = !done;
        if (!waits)
            break;
    }
    return status;
}

int ask_server(const char *target, const char *const *words, bool waits)
{
    struct sb_ledger ledger;
    const char *command = words[0];
    if (find(command, target, &ledger) < 0)
        return 1;
    int fd = dial(&ledger), r = fd < 0 ? fd : send_words(fd, words);
    int status = r < 0 ? -1 : hear_answers(command, fd, waits);
    if (fd >= 0)
        close(fd);
    if (status >= 0)
        return status;
    complain(command, target, r == -EACCES ? "it belongs to another user"
             : r == -EMSGSIZE ? "that is too much to ask for" : "the server has ended before it answered");
    return 1;
}
