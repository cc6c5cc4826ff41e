#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../clock.h"

enum {
    CALLERS_MAX = 16, ANSWER_SIZE = 4096,
    SILENT_MS = 5000,       /* how long a caller may take to say what it wants */
    NAMES = 10,             /* how many are tried */
    PAUSE_MS = 20,          /* after a call that could not be taken */
};

enum phase { ABSENT, HEARD_NOTHING, ASKED, TAKEN_UP, WAITING };

struct control_caller {
    struct control *control;
    enum phase phase;
    int fd;
    uint64_t silent_until_ns;       /* it has to say what it wants by then; so the first is who came first */
    unsigned waits_for;
    char *packet;
    const char *words[CONTROL_WORDS_MAX + 1];
};

struct control {
    int fd;
    char path[CONTROL_PATH_SIZE];
    uint64_t paused_until_ns;
    struct control_caller callers[CALLERS_MAX];
};

/* --- the socket --------------------------------------------------------------------------------------------------- */

static const char *folder(void)
{
    static const char *const names[] = { "XDG_RUNTIME_DIR", "TMPDIR" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (value && value[0] == '/' && strlen(value) < CONTROL_PATH_SIZE - 48 && access(value, W_OK) == 0)
            return value;
    }
    return "/tmp";
}

/* Its server was killed. */
static bool is_abandoned(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    bool refused = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) < 0 && errno == ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    return refused;
}

static void clear_folder(void)
{
    glob_t found;
    char pattern[CONTROL_PATH_SIZE];
    snprintf(pattern, sizeof pattern, "%s/switchboard-*.control", folder());
    if (glob(pattern, GLOB_NOSORT, NULL, &found) != 0)
        return;
    for (size_t i = 0; i < found.gl_pathc; i++)
        if (strlen(found.gl_pathv[i]) < CONTROL_PATH_SIZE && is_abandoned(found.gl_pathv[i]))
            unlink(found.gl_pathv[i]);
    globfree(&found);
}

/* Until it listens it has another name, for others would take it for abandoned. The mode is there before anybody can
 * connect. */
static int bind_somewhere(struct control *control)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int r = fchmod(control->fd, S_IRUSR | S_IWUSR) < 0 ? -errno : -EADDRINUSE;
    for (int i = 0; r == -EADDRINUSE && i < NAMES; i++) {
        snprintf(control->path, sizeof control->path, "%s/switchboard-%d-%08x.control", folder(), (int)getpid(),
                 (unsigned)clock_ns());
        snprintf(address.sun_path, sizeof address.sun_path, "%s.new", control->path);
        r = bind(control->fd, (struct sockaddr *)&address, sizeof address) < 0 ? -errno : 0;
    }
    if (r == 0 && (listen(control->fd, CALLERS_MAX) < 0 || rename(address.sun_path, control->path) < 0)) {
        r = -errno;
        unlink(address.sun_path);
    }
    return r;
}

static int open_socket(struct control *control)
{
    clear_folder();
    control->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int r = control->fd < 0 ? -errno : bind_somewhere(control);
    if (r < 0)
        control->path[0] = '\0';
    return r;
}

int control_open(struct control **ret_control)
{
    struct control *control = calloc(1, sizeof *control);
    int r = control ? open_socket(control) : -ENOMEM;
    if (r == 0) {
        *ret_control = control;
        return 0;
    }
    fprintf(stderr, "switchboard: cannot open a control socket in %s: %s (XDG_RUNTIME_DIR or TMPDIR can name another "
            "folder)\n", folder(), strerror(-r));
    if (control)
        control_close(control);
    return r;
}

static void dismiss(struct control_caller *caller)
{
    if (caller->phase == ABSENT)
        return;
    close(caller->fd);
    free(caller->packet);
    *caller = (struct control_caller){ .control = caller->control };
}

void control_leave(struct control *control)
{
    for (int i = 0; i < CALLERS_MAX; i++)
        dismiss(&control->callers[i]);
    if (control->fd >= 0)
        close(control->fd);
    free(control);
}

void control_close(struct control *control)
{
    if (control->path[0] != '\0' && unlink(control->path) < 0 && errno != ENOENT)
        fprintf(stderr, "switchboard: cannot remove the control socket %s: %s\n", control->path, strerror(errno));
    control_leave(control);
}

/* --- the program's file anew -------------------------------------------------------------------------------------- */

int control_hand_down(struct control *control, struct control_caller *caller, bool open, int *ret_fd,
                      int *ret_caller_fd)
{
    int flags = open ? 0 : FD_CLOEXEC;
    *ret_fd = control->fd;
    *ret_caller_fd = caller ? caller->fd : -1;
    if (fcntl(control->fd, F_SETFD, flags) < 0 || (caller && fcntl(caller->fd, F_SETFD, flags) < 0))
        return -errno;
    return 0;
}

int control_take_over(int fd, int caller_fd, const char *path, struct control **ret_control,
                      struct control_caller **ret_caller)
{
    struct control *control = calloc(1, sizeof *control);
    if (!control)
        return -ENOMEM;
    control->fd = fd;
    snprintf(control->path, sizeof control->path, "%s", path);
    if (caller_fd >= 0)
        control->callers[0] = (struct control_caller){ .control = control, .phase = TAKEN_UP, .fd = caller_fd };
    control_hand_down(control, caller_fd >= 0 ? &control->callers[0] : NULL, false, &fd, &caller_fd);
    *ret_caller = caller_fd >= 0 ? &control->callers[0] : NULL;
    *ret_control = control;
    return 0;
}

const char *control_path(const struct control *control)
{
    return control->path;
}

/* --- callers ------------------------------------------------------------------------------------------------------ */

static struct control_caller *longest(struct control *control, enum phase phase)
{
    struct control_caller *found = NULL;
    for (int i = 0; i < CALLERS_MAX; i++) {
        struct control_caller *caller = &control->callers[i];
        if (caller->phase == phase && (!found || caller->silent_until_ns < found->silent_until_ns))
            found = caller;
    }
    return found;
}

/* Whose change has happened can be let go. */
static struct control_caller *make_room(struct control *control)
{
    struct control_caller *room = longest(control, ABSENT);
    if (!room && (room = longest(control, WAITING)) != NULL)
        dismiss(room);
    return room;
}

static bool may_ask(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && (peer.uid == geteuid() || peer.uid == 0);
}

static void admit(struct control *control)
{
    struct control_caller *room = make_room(control);
    int fd = room ? accept4(control->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK) : -1;
    if (fd < 0) {
        control->paused_until_ns = clock_in_ms(PAUSE_MS);
        return;
    }
    *room = (struct control_caller){ .control = control, .phase = HEARD_NOTHING, .fd = fd,
                                      .silent_until_ns = clock_in_ms(SILENT_MS) };
    if (!may_ask(fd))
        control_refuse(room, "it belongs to another user");
}

static bool split(struct control_caller *caller, size_t size)
{
    unsigned n = 0;
    const char *end = caller->packet + size;
    if (size == 0 || end[-1] != '\0')
        return false;
    for (const char *word = caller->packet; word < end; word += strlen(word) + 1) {
        if (n == CONTROL_WORDS_MAX)
            return false;
        caller->words[n++] = word;
    }
    return true;
}

static void hear(struct control_caller *caller)
{
    caller->packet = malloc(CONTROL_PACKET_SIZE);
    ssize_t size = caller->packet ? recv(caller->fd, caller->packet, CONTROL_PACKET_SIZE, MSG_DONTWAIT) : 0;
    if (size > 0 && split(caller, size)) {
        caller->phase = ASKED;
        return;
    }
    if (size > 0)
        control_refuse(caller, "that is no request");
    else
        control_end(caller);
}

static bool has_something(int fd)
{
    struct pollfd said = { .fd = fd, .events = POLLIN };
    return poll(&said, 1, 0) > 0;
}

unsigned control_poll(struct control *control, struct pollfd *fds, unsigned room, int *ret_timeout_ms)
{
    unsigned n = 0;
    bool full = !longest(control, ABSENT) && !longest(control, WAITING);
    bool paused = clock_left_ms(control->paused_until_ns) > 0;
    if (!full && !paused && n < room)
        fds[n++] = (struct pollfd){ .fd = control->fd, .events = POLLIN };
    if (paused)
        clock_wait_until(control->paused_until_ns, ret_timeout_ms);
    for (int i = 0; i < CALLERS_MAX && n < room; i++) {
        const struct control_caller *caller = &control->callers[i];
        if (caller->phase != HEARD_NOTHING)
            continue;
        clock_wait_until(caller->silent_until_ns, ret_timeout_ms);
        fds[n++] = (struct pollfd){ .fd = caller->fd, .events = POLLIN };
    }
    return n;
}

void control_look(struct control *control)
{
    for (int i = 0; i < CALLERS_MAX; i++) {
        struct control_caller *caller = &control->callers[i];
        if (caller->phase == HEARD_NOTHING && has_something(caller->fd))
            hear(caller);
        else if (caller->phase == HEARD_NOTHING && clock_left_ms(caller->silent_until_ns) == 0)
            dismiss(caller);
    }
    for (int i = 0; i < CALLERS_MAX && clock_left_ms(control->paused_until_ns) == 0 && has_something(control->fd); i++)
        admit(control);
}

static bool has_left(const struct control_caller *caller)
{
    char byte;
    return recv(caller->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

struct control_caller *control_next(struct control *control, const char *const **ret_words)
{
    struct control_caller *caller;
    while ((caller = longest(control, ASKED)) != NULL && has_left(caller))
        dismiss(caller);
    if (!caller)
        return NULL;
    caller->phase = TAKEN_UP;
    *ret_words = caller->words;
    return caller;
}

void control_answer(struct control_caller *caller, const char *verdict, const char *text)
{
    char packet[ANSWER_SIZE];
    if (!caller)
        return;
    int size = snprintf(packet, sizeof packet, "%s%c%s", verdict, '\0', text) + 1;
    send(caller->fd, packet, size < ANSWER_SIZE ? size : ANSWER_SIZE, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void control_end(struct control_caller *caller)
{
    if (caller)
        dismiss(caller);
}

void control_refuse(struct control_caller *caller, const char *why)
{
    control_answer(caller, CONTROL_REFUSED, why);
    control_end(caller);
}

void control_wait_for(struct control_caller *caller, unsigned number)
{
    if (!caller)
        return;
    caller->phase = WAITING;
    caller->waits_for = number;
}

void control_answer_waiting(struct control *control, unsigned number, const char *text)
{
    for (int i = 0; i < CALLERS_MAX; i++) {
        struct control_caller *caller = &control->callers[i];
        if (caller->phase != WAITING || caller->waits_for != number)
            continue;
        control_answer(caller, CONTROL_DONE, text);
        control_end(caller);
    }
}
