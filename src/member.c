#include "member.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ground/clock.h"
#include "ground/descriptor.h"
#include "ground/passing.h"
#include "scoreboard.h"

/* --- its start ---------------------------------------------------------------------------------------------------- */

/* What ends before it begins has nothing that would have to be removed. */
static void be_generation(struct sb_member *member, struct sb_held_list *held, int channel, pid_t supervisor,
                          struct sb_generation *generation)
{
    char word;
    sb_fd_close(&member->channel);
    if (TEMP_FAILURE_RETRY(recv(channel, &word, 1, 0)) != 1)
        _exit(1);
    *generation = (struct sb_generation){ .number = member->number, .supervisor = supervisor, .channel = channel,
                                          .held = held };
    sb_generation_follow(generation);
}

/* One that cannot be watched cannot be kept. */
static int watch(struct sb_member *member)
{
    member->pidfd = pidfd_open(member->pid, 0);
    if (member->pidfd >= 0)
        return 0;
    int r = -errno;
    kill(member->pid, SIGKILL);     /* not reaped yet, so it is that one */
    while (waitpid(member->pid, NULL, 0) < 0 && errno == EINTR)
        sb_nap(1);
    return r;
}

int sb_member_start(struct sb_member *member, struct sb_held_list *held, struct sb_generation *generation,
                    sigset_t *ret_mask)
{
    int ends[2];
    pid_t supervisor = getpid();
    sigset_t all;
    member->pidfd = member->channel = member->board_fd = -1;
    member->quit_ns = member->kill_ns = NEVER;
    member->started_ns = sb_now_ns();
    TAILQ_INIT(&member->sockets);
    member->held = held;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    member->channel = ends[0];
    fflush(NULL);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, ret_mask);
    member->pid = fork();
    int r = member->pid < 0 ? -errno : 0;
    if (member->pid == 0) {
        be_generation(member, held, ends[1], supervisor, generation);
        return 0;
    }
    sigprocmask(SIG_SETMASK, ret_mask, NULL);
    close(ends[1]);
    member->state = SB_GENERATION_STARTING;
    if (r == 0)
        r = watch(member);
    if (r < 0)
        sb_member_forget(member);
    return r;
}

int sb_member_let_begin(const struct sb_member *member)
{
    return send(member->channel, "", 1, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* --- what it tells ------------------------------------------------------------------------------------------------ */

static unsigned split(const char *packet, size_t size, const char *words[SB_TOLD_WORDS])
{
    unsigned n = 0;
    if (size == 0 || packet[size - 1] != '\0')
        return 0;
    for (const char *word = packet; word < packet + size && n < SB_TOLD_WORDS; word += strlen(word) + 1)
        words[n++] = word;
    return n;
}

static void close_all(const int *fds, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        close(fds[i]);
}

/* What it has told cannot be had here, so it is no successor. It ends once it has told all. */
static void reject(struct sb_member *member, int error)
{
    if (!member->why && asprintf(&member->why, "its supervisor cannot take over what it tells: %s (limits: ulimit -n, "
                                 "ulimit -v)", strerror(-error)) < 0)
        member->why = NULL;
    member->rejected = true;
}

static void take_listener(struct sb_member *member, const char *const *words, const int *fds, unsigned count)
{
    unsigned call = strtoul(words[1], NULL, 10);
    int r = member->rejected ? -ECANCELED : count == 0 ? -EMFILE
            : sb_held_add(&member->sockets, call, words[2], words[3], fds, count);
    if (r == 0)
        return;
    close_all(fds, count);
    sb_held_discard(member->held, words[2], words[3]);
    reject(member, r);
}

static bool take_ready(struct sb_member *member, const char *const *words, int board_fd)
{
    member->strategy = strdup(words[1]);
    member->handler = strdup(words[2]);
    member->board_fd = board_fd;
    int r = !member->strategy || !member->handler ? -ENOMEM : board_fd < 0 ? -EMFILE
            : sb_board_map(board_fd, &member->board);
    if (r < 0)
        reject(member, r);
    if (member->rejected) {
        sb_member_signal(member, SIGKILL);
        return false;
    }
    member->ready_ns = sb_now_ns();
    return true;
}

static bool take(struct sb_member *member, const char *const *words, unsigned n, const int *fds, unsigned count)
{
    bool starts = member->state == SB_GENERATION_STARTING && !member->board;
    if (starts && n == 4 && strcmp(words[0], "listener") == 0) {
        take_listener(member, words, fds, count);
        return false;
    }
    if (starts && n == 3 && count <= 1 && strcmp(words[0], "ready") == 0)
        return take_ready(member, words, count == 1 ? fds[0] : -1);
    if (starts && n == 2 && strcmp(words[0], "refused") == 0 && !member->why)
        member->why = strdup(words[1]);
    close_all(fds, count);
    return false;
}

/* What it told may stand in the socket after its end. */
bool sb_member_hear(struct sb_member *member)
{
    char packet[SB_TOLD_MAX];
    const char *words[SB_TOLD_WORDS];
    int fds[SB_PASSED_MAX];
    unsigned count;
    bool ready = false;
    while (member->channel >= 0) {
        ssize_t size = sb_take_passed(member->channel, MSG_DONTWAIT, packet, sizeof packet, fds, &count);
        if (size < 0 && size != -EAGAIN && sb_tires(&member->fruitless))
            sb_nap(SB_TIRED_MS);
        if (size == 0)
            sb_fd_close(&member->channel);
        if (size <= 0)
            break;
        member->fruitless = 0;
        ready |= take(member, words, split(packet, size, words), fds, count);
    }
    return ready;
}

/* --- its end ------------------------------------------------------------------------------------------------------ */

void sb_member_signal(const struct sb_member *member, int signo)
{
    if (sigqueue(member->pid, signo, (union sigval){ 0 }) < 0)      /* reaped by nobody but us, so it is that one */
        pidfd_send_signal(member->pidfd, signo, NULL, 0);           /* which no limit forbids (RLIMIT_SIGPENDING) */
}

bool sb_member_reap(struct sb_member *member)
{
    pid_t pid = waitpid(member->pid, &member->status, WNOHANG);
    if (member->rejected)
        member->status = W_EXITCODE(EXIT_FAILURE, 0);
    if (pid == member->pid)
        return true;
    struct pollfd ended = { .fd = member->pidfd, .events = POLLIN };
    return pid < 0 && errno == ECHILD && poll(&ended, 1, 0) == 1;      /* somebody else has waited for it */
}

void sb_member_describe_end(const struct sb_member *member, char *text, size_t size)
{
    int signo = WTERMSIG(member->status);
    if (member->rejected && member->why)
        snprintf(text, size, "was given up: %s", member->why);
    else if (WIFSIGNALED(member->status))
        snprintf(text, size, "was killed by signal %d (%s)", signo, strsignal(signo));
    else
        snprintf(text, size, "has ended with status %d", WEXITSTATUS(member->status));
}

void sb_member_forget(struct sb_member *member)
{
    sb_held_finish(&member->sockets);
    sb_scoreboard_close(member->board);
    sb_fd_close(&member->pidfd);
    sb_fd_close(&member->channel);
    sb_fd_close(&member->board_fd);
    free(member->strategy);
    free(member->handler);
    free(member->why);
    *member = (struct sb_member){ .state = SB_GENERATION_NONE, .pidfd = -1, .channel = -1, .board_fd = -1 };
}
