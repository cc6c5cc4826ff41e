/* shell: each message is a command line for /bin/sh; the answer is its stderr, or its stdout where that is empty, or
 * 操作成功 where both are.
 *
 * A command and its descendants are a process group, with a time limit, an output limit and an environment of their
 * own. The group is killed when its shell ends, at a limit, when the caller hangs up, and when this process dies, by a
 * guard that leads the group. Only what leaves the group, by setsid(2), is left. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <switchboard/switchboard.h>

enum { COMMAND_SIZE = 1024, CHUNK_SIZE = 64 * 1024, NOTE_SIZE = 96 };

struct options {
    long timeout_s, output_size, grace_ms;
};

static const struct sb_option option_table[] = {
    SB_FRAME_OPTION,
    { .name = "timeout", .type = SB_OPTION_LONG, .offset = offsetof(struct options, timeout_s),
      .value = "10", .min = 1, .max = 86400, .help = "seconds that a command may run" },
    { .name = "output", .type = SB_OPTION_LONG, .offset = offsetof(struct options, output_size),
      .value = "1048576", .min = 1, .max = 1L << 30,
      .help = "bytes that a command may write to stdout, and as many to stderr" },
    { .name = "grace", .type = SB_OPTION_LONG, .offset = offsetof(struct options, grace_ms),
      .value = "1000", .max = 3600000, .help = "milliseconds that a command may go on when its caller says no more" },
    { .name = NULL },
};

/* What a command is waited for: something on its stdout or stderr, its end, the caller's end. */
enum { OUT, ERR, STREAMS, END = STREAMS, CALLER, EVENTS };

struct stream {
    int fd;
    char *text;
    size_t size, room;
};

/* As start() makes it and stop() ends it; the texts of the streams stay until discard(). */
struct command {
    pid_t guard, shell;         /* 0: not running; the guard's pid is the group's */
    int lifeline_fd;            /* the guard kills the group when nobody has it open any more */
    int pidfd, epoll_fd;
    struct stream streams[STREAMS];
    size_t output_size;         /* of each stream, at most */
    int64_t deadline_ms;
    char late[NOTE_SIZE];       /* why the command must end at the deadline */
    char killed[NOTE_SIZE];     /* why it was killed; empty: it was not */
    bool ended;
};

/* --- processes ---------------------------------------------------------------------------------------------------- */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void set_attributes(posix_spawnattr_t *attributes, pid_t group)
{
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawnattr_setflags(attributes,
                             POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setpgroup(attributes, group);
    posix_spawnattr_setsigdefault(attributes, &all);
    posix_spawnattr_setsigmask(attributes, &none);
}

/* A shell whose descriptors 0, 1 and 2 are fds; it has no others. group 0: it leads a new one. */
static int spawn(const char *script, const int fds[3], pid_t group, pid_t *ret_pid)
{
    static char *const environment[] = {
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=/", NULL,
    };
    char *const arguments[] = { "sh", "-c", "--", (char *)script, NULL };
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    pid_t pid;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    set_attributes(&attributes, group);
    int error = 0;
    for (int fd = 0; fd < 3 && error == 0; fd++)
        error = posix_spawn_file_actions_adddup2(&actions, fds[fd], fd);
    /* Ours are CLOEXEC, but not what the server has inherited itself. */
    if (error == 0)
        error = posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    if (error == 0)
        error = posix_spawn(&pid, "/bin/sh", &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (error == 0)
        *ret_pid = pid;
    return -error;
}

/* side: the end, 0 or 1, that a child will have. */
static int open_pipe(int side, int *ret_own, int *ret_child)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    *ret_child = ends[side];
    *ret_own = ends[!side];
    return fcntl(*ret_own, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

/* The guard comes first, so that there is no moment in which this process may die and leave the command alone. */
static int spawn_group(struct command *command, const char *line)
{
    int lifeline = -1, out = -1, err = -1, nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    int r = nothing < 0 ? -errno : 0;
    if (r == 0)
        r = open_pipe(0, &command->lifeline_fd, &lifeline);
    if (r == 0)
        r = open_pipe(1, &command->streams[OUT].fd, &out);
    if (r == 0)
        r = open_pipe(1, &command->streams[ERR].fd, &err);
    if (r == 0)
        r = spawn("read line; kill -KILL 0", (int[]){ lifeline, nothing, nothing }, 0, &command->guard);
    if (r == 0)
        r = spawn(line, (int[]){ nothing, out, err }, command->guard, &command->shell);
    close_fd(&nothing);
    close_fd(&lifeline);
    close_fd(&out);
    close_fd(&err);
    return r;
}

/* --- one command -------------------------------------------------------------------------------------------------- */

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

static int watch(const struct command *command, int fd, uint32_t events, unsigned what)
{
    struct epoll_event event = { .events = events, .data.u32 = what };
    return epoll_ctl(command->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int start(struct command *command, const char *line, int caller_fd)
{
    int r = spawn_group(command, line);
    if (r < 0)
        return r;
    command->pidfd = pidfd_open(command->shell, 0);
    command->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (command->pidfd < 0 || command->epoll_fd < 0)
        return -errno;
    r = watch(command, command->streams[OUT].fd, EPOLLIN, OUT);
    if (r == 0)
        r = watch(command, command->streams[ERR].fd, EPOLLIN, ERR);
    if (r == 0)
        r = watch(command, command->pidfd, EPOLLIN, END);
    if (r == 0)
        r = watch(command, caller_fd, EPOLLRDHUP, CALLER);
    return r;
}

static void reap(pid_t *pid)
{
    siginfo_t info;
    while (*pid > 0 && waitid(P_PID, *pid, &info, WEXITED) < 0 && errno == EINTR)
        ;
    *pid = 0;
}

static void stop(struct command *command)
{
    /* Not reaped before: so their numbers still belong to them. The shell may have left the group. */
    if (command->guard > 0)
        kill(-command->guard, SIGKILL);
    if (command->pidfd >= 0)
        pidfd_send_signal(command->pidfd, SIGKILL, NULL, 0);
    else if (command->shell > 0)
        kill(command->shell, SIGKILL);
    reap(&command->shell);
    reap(&command->guard);
    close_fd(&command->epoll_fd);
    close_fd(&command->pidfd);
    close_fd(&command->lifeline_fd);
}

static void discard(struct command *command)
{
    for (int i = 0; i < STREAMS; i++) {
        close_fd(&command->streams[i].fd);
        free(command->streams[i].text);
    }
}

static int make_room(struct stream *stream, size_t more, size_t most)
{
    size_t room = most - stream->room < more ? most : stream->room + more;
    char *text = realloc(stream->text, room);
    if (!text)
        return -ENOMEM;
    stream->text = text;
    stream->room = room;
    return 0;
}

/* One read, up to one byte more than the limit allows. Returns 0 at the end. */
static ssize_t take(struct stream *stream, size_t limit)
{
    int r = stream->size == stream->room ? make_room(stream, CHUNK_SIZE, limit + 1) : 0;
    if (r < 0)
        return r;
    ssize_t n = read(stream->fd, stream->text + stream->size, stream->room - stream->size);
    if (n < 0)
        return -errno;
    stream->size += n;
    return n;
}

static void limit_output(struct command *command, struct stream *stream)
{
    if (stream->size <= command->output_size)
        return;
    stream->size = command->output_size;
    snprintf(command->killed, NOTE_SIZE, "more than %zu bytes of output", command->output_size);
    command->ended = true;
}

static int listen_to(struct command *command, struct stream *stream)
{
    ssize_t n = take(stream, command->output_size);
    if (n == 0) {
        epoll_ctl(command->epoll_fd, EPOLL_CTL_DEL, stream->fd, NULL);
        close_fd(&stream->fd);
    }
    limit_output(command, stream);
    return n == -EAGAIN ? 0 : n < 0 ? n : 0;
}

/* The end of what the caller says may be all of the caller, or a half-close that waits for its answer. */
static int lose_caller(struct sb_request *request, struct command *command, uint32_t events)
{
    const struct options *options = sb_options(request, &sb_handler);
    struct epoll_event gone = { .events = 0, .data.u32 = CALLER };
    if (events & (EPOLLHUP | EPOLLERR))
        return sb_fail(request, -ECONNRESET, "the caller hung up while its command ran");
    epoll_ctl(command->epoll_fd, EPOLL_CTL_MOD, sb_fileno(request), &gone);
    int64_t deadline_ms = now_ms() + options->grace_ms;
    if (deadline_ms < command->deadline_ms) {
        command->deadline_ms = deadline_ms;
        snprintf(command->late, NOTE_SIZE, "its caller ended %ld ms ago; -o grace=MS allows more", options->grace_ms);
    }
    return 0;
}

static int react(struct sb_request *request, struct command *command, const struct epoll_event *event)
{
    unsigned what = event->data.u32;
    if (what == CALLER)
        return lose_caller(request, command, event->events);
    if (what < STREAMS)
        return listen_to(command, &command->streams[what]);
    command->ended = true;
    return 0;
}

/* Until the command ends, or must. */
static int follow(struct sb_request *request, struct command *command)
{
    int r = 0;
    while (r >= 0 && !command->ended) {
        struct epoll_event events[EVENTS];
        int64_t left_ms = command->deadline_ms - now_ms();
        if (left_ms <= 0) {
            memcpy(command->killed, command->late, NOTE_SIZE);
            return 0;
        }
        r = sb_wait_fd(request, command->epoll_fd, POLLIN, left_ms);
        int count = r < 0 ? 0 : epoll_wait(command->epoll_fd, events, EVENTS, 0);
        if (r == -ETIMEDOUT)
            r = 0;
        for (int i = 0; i < count && r >= 0; i++)
            r = react(request, command, &events[i]);
    }
    return r < 0 ? r : 0;
}

/* What is in the pipes already: somebody who has left the group may hold them open. */
static void take_rest(struct command *command)
{
    for (int i = 0; i < STREAMS; i++) {
        struct stream *stream = &command->streams[i];
        while (stream->fd >= 0 && stream->size <= command->output_size && take(stream, command->output_size) > 0)
            ;
        limit_output(command, stream);
    }
}

/* --- the talk ----------------------------------------------------------------------------------------------------- */

static int run(struct sb_request *request, struct command *command, const char *line)
{
    int r = start(command, line, sb_fileno(request));
    pid_t pid = command->shell;
    if (r == 0)
        r = follow(request, command);
    else
        r = sb_fail(request, r, "cannot start a command: %s", strerror(-r));
    stop(command);
    if (r < 0)
        return r;
    take_rest(command);
    sb_log(request, "command %d ended%s%s: %zu bytes of stdout, %zu of stderr", (int)pid,
           command->killed[0] ? ", killed: " : "", command->killed, command->streams[OUT].size,
           command->streams[ERR].size);
    return 0;
}

static int append_note(struct stream *said, const char *killed)
{
    int r = make_room(said, NOTE_SIZE + sizeof "\n[killed: ]\n", SIZE_MAX);
    bool mid_line = said->size > 0 && said->text[said->size - 1] != '\n';
    if (r == 0)
        said->size += sprintf(said->text + said->size, "%s[killed: %s]\n", mid_line ? "\n" : "", killed);
    return r;
}

static int answer(struct sb_request *request, struct command *command)
{
    static const char success[] = "操作成功";
    struct stream *said = &command->streams[command->streams[ERR].size > 0 ? ERR : OUT];
    int r = command->killed[0] ? append_note(said, command->killed) : 0;
    if (r < 0)
        return r;
    if (said->size == 0)
        return sb_send_message(request, success, sizeof success - 1);
    return sb_send_message(request, said->text, said->size);
}

static int obey(struct sb_request *request, const char *line)
{
    const struct options *options = sb_options(request, &sb_handler);
    struct command command = {
        .lifeline_fd = -1, .pidfd = -1, .epoll_fd = -1, .streams = { { .fd = -1 }, { .fd = -1 } },
        .output_size = options->output_size, .deadline_ms = now_ms() + options->timeout_s * 1000,
    };
    snprintf(command.late, NOTE_SIZE, "it ran longer than %ld s", options->timeout_s);
    int r = run(request, &command, line);
    if (r == 0)
        r = answer(request, &command);
    discard(&command);
    return r;
}

static int handle(struct sb_request *request)
{
    char line[COMMAND_SIZE + 1];
    size_t size;
    int r;
    while ((r = sb_recv_message(request, line, COMMAND_SIZE, &size)) > 0) {
        line[size] = '\0';
        if (strlen(line) < size)
            return sb_fail(request, -EINVAL, "a command line cannot have a NUL byte");
        r = obey(request, line);
        if (r < 0)
            break;
    }
    return r;
}

SB_HANDLER(.name = "shell", .summary = "runs each message as a command line and answers with what it says",
           .traits = SB_STREAM_ONLY | SB_LOCAL_ONLY | SB_SENDS_LINES | SB_CALLER_FIRST,
           .options_size = sizeof(struct options), .options = option_table, .handle = handle);
