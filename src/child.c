#include "child.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/param.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "classes.h"
#include "drain.h"
#include "ground/clock.h"
#include "ground/descriptor.h"

/* Until what should not fail is tried again. */
#define FAILURE_PAUSE_MS 10

/* A process that was forked, until it has been adopted. */
static bool strays;

static void stray(void)
{
    strays = true;
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, stray);
}

bool sb_child_strays(void)
{
    return strays;
}

void sb_child_end_stray(const struct sb_server *server)
{
    sb_server_log(server, SB_LOG_WARNING, "a handler has come back in process %d, which it had forked: that one ends "
                  "here (it should call _exit itself)", (int)getpid());
    _exit(0);
}

struct sb_reaper *sb_reaper_create(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    struct sb_reaper *reaper = calloc(1, sizeof *reaper);
    if (reaper)
        reaper->fd = -1;
    return reaper;
}

void sb_reaper_destroy(struct sb_reaper *reaper)
{
    if (reaper)
        sb_fd_close(&reaper->fd);
    free(reaper);
}

int sb_children_open(struct sb_server *server)
{
    if (server->reaper->fd < 0)
        server->reaper->fd = epoll_create1(EPOLL_CLOEXEC);
    return server->reaper->fd < 0 ? -errno : 0;
}

void sb_child_note_signals(struct sb_server *server)
{
    server->reaper->serves_in_main = gettid() == getpid();
    sigemptyset(&server->reaper->handled);
    for (int signo = 1; signo < NSIG; signo++) {
        struct sigaction action;
        if (sigaction(signo, NULL, &action) == 0 && action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN)
            sigaddset(&server->reaper->handled, signo);
    }
}

/* A child does not outlive its parent. The signal comes when the thread that forked ends (prctl(2)), so only a main
 * thread's children can ask for it. */
static void follow_parent(const struct sb_server *server)
{
    if (server->reaper->serves_in_main)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static void do_nothing(int signo)
{
    (void)signo;
}

/* What a terminal or a service manager sends to a whole group, and what a write to somebody who has left brings. */
static bool is_survived(int signo)
{
    return signo == SIGHUP || signo == SIGINT || signo == SIGQUIT || signo == SIGTERM || signo == SIGPIPE;
}

/* Ignored, a signal would be so in every program that a handler starts, too: execve(2) resets handlers only. */
static void reset_signals(const struct sb_server *server, const sigset_t *mask)
{
    for (int signo = 1; signo < NSIG; signo++)
        if (sigismember(&server->reaper->handled, signo) == 1)
            sigaction(signo, &(struct sigaction){ .sa_handler = is_survived(signo) ? do_nothing : SIG_DFL,
                                                  .sa_flags = SA_RESTART }, NULL);
    sigprocmask(SIG_SETMASK, mask, NULL);
}

/* The requests and loops of the parent are not ours. handles: but one request is, and the child will serve no others,
 * so it needs nothing of its own: each system call here is one for each request. */
static int adopt(struct sb_server *server, bool handles)
{
    strays = false;
    server->crew.process = 0;
    atomic_store(&server->references, 1);
    atomic_store(&server->shortage.error, 0);
    atomic_store(&server->helpers, NULL);
    int r = sb_books_adopt(&server->books, handles);
    if (handles || r < 0)
        return r;
    server->crew.process = getpid();
    sb_classes_begin(server);
    sb_fd_close(&server->reaper->fd);
    return 0;
}

__attribute__((noreturn)) static void run_child(struct sb_server *server, struct sb_child *child, const sigset_t *mask,
                                                int (*run)(struct sb_server *, struct sb_child *))
{
    follow_parent(server);
    reset_signals(server, mask);
    int r = adopt(server, child->request != NULL);
    server->crew.process_slot = child->slot;
    sb_slot_occupy(&server->crew, child->slot, server->crew.process);
    _exit(r < 0 ? sb_child_failure_status(r) : run(server, child));
}

static void reap(struct sb_child *child)
{
    while (waitpid(child->pid, &child->status, 0) < 0 && errno == EINTR)
        sb_nap(1);
}

/* A child that cannot be watched cannot be kept. */
static int watch(struct sb_server *server, struct sb_child *child)
{
    /* Told once, whatever becomes of the registration: then the child goes. */
    struct epoll_event event = { .events = EPOLLIN | EPOLLONESHOT, .data.ptr = child };
    child->pidfd = pidfd_open(child->pid, 0);
    if (child->pidfd >= 0 && epoll_ctl(server->reaper->fd, EPOLL_CTL_ADD, child->pidfd, &event) == 0)
        return 0;
    int r = -errno;
    if (child->pidfd >= 0)
        close(child->pidfd);
    kill(child->pid, SIGKILL);      /* not reaped yet, so it is that one */
    reap(child);
    return r;
}

int sb_child_start(struct sb_server *server, struct sb_children *children, struct sb_child *child,
                   int (*run)(struct sb_server *server, struct sb_child *child))
{
    sigset_t all, mask;
    int r;
    child->slot = sb_slot_claim(&server->crew, &server->crew.slot_hint, child->worker);
    child->parent = server->crew.process;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &mask);
    child->pid = fork();
    int error = errno;
    if (child->pid == 0)
        run_child(server, child, &mask, run);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    sb_slot_sign(child->slot, child->pid);
    r = child->pid < 0 ? -error : watch(server, child);
    if (r < 0) {
        sb_slot_release(&server->crew, &server->crew.slot_hint, child->slot, SB_FREE);
        return r;
    }
    LIST_INSERT_HEAD(&children->list, child, link);
    return 0;
}

/* Above what shells and handlers say. */
#define CANNOT_SERVE 128

int sb_child_failure_status(int error)
{
    return CANNOT_SERVE + MIN(-error, 126);
}

int sb_child_failure(const struct sb_child *child)
{
    int status = WIFEXITED(child->status) ? WEXITSTATUS(child->status) : 0;
    return status > CANNOT_SERVE ? CANNOT_SERVE - status : 0;
}

static void forget(struct sb_server *server, struct sb_child *child)
{
    /* Siblings have inherited the pidfd, so closing ours would not take it out. */
    epoll_ctl(server->reaper->fd, EPOLL_CTL_DEL, child->pidfd, NULL);
    close(child->pidfd);
    LIST_REMOVE(child, link);
}

/* A full batch may not be all. */
static bool look_for_ended(struct sb_server *server, struct sb_children *children)
{
    const int room = sizeof children->ended / sizeof *children->ended;
    bool all = children->n_ended > 0 && children->n_ended < room;
    children->next_ended = children->n_ended = 0;
    if (!LIST_EMPTY(&children->list) && !all)
        children->n_ended = epoll_wait(server->reaper->fd, children->ended, room, 0);
    if (children->n_ended < 0) {
        children->n_ended = 0;
        sb_nap(FAILURE_PAUSE_MS);
    }
    return children->n_ended > 0;
}

struct sb_child *sb_child_reap(struct sb_server *server, struct sb_children *children)
{
    if (children->next_ended == children->n_ended && !look_for_ended(server, children))
        return NULL;
    struct sb_child *child = children->ended[children->next_ended++].data.ptr;
    reap(child);
    forget(server, child);
    return child;
}

static void reap_until(struct sb_server *server, struct sb_children *children, int64_t deadline_ns,
                       void (*reaped)(struct sb_server *, struct sb_child *))
{
    struct pollfd fds[] = { { .fd = server->reaper->fd, .events = POLLIN },
                            { .fd = server->signals.cut.fd, .events = POLLIN } };
    struct sb_child *child;
    while (!LIST_EMPTY(&children->list)) {
        int n = poll(fds, 2, sb_remaining_ms(deadline_ns));
        if (n == 0)
            return;
        if (n < 0)
            sb_nap(1);
        if (fds[1].revents) {
            fds[1].fd = -1;
            if (sb_signals_hurrying(&server->signals))
                deadline_ns = MIN(deadline_ns, sb_deadline_ns(CUT_GRACE_MS));
        }
        while ((child = sb_child_reap(server, children)) != NULL)
            reaped(server, child);
    }
}

static unsigned kill_all(struct sb_children *children)
{
    struct sb_child *child;
    unsigned count = 0;
    LIST_FOREACH(child, &children->list, link) {
        child->killed = true;
        pidfd_send_signal(child->pidfd, SIGKILL, NULL, 0);
        count++;
    }
    return count;
}

void sb_children_drain(struct sb_server *server, struct sb_children *children, int timeout_ms,
                       void (*reaped)(struct sb_server *server, struct sb_child *child))
{
    int quiet_ms = timeout_ms < 0 || timeout_ms > QUIET_DRAIN_MS ? QUIET_DRAIN_MS : timeout_ms;
    reap_until(server, children, sb_deadline_ns(quiet_ms), reaped);
    if (!LIST_EMPTY(&children->list) && timeout_ms > quiet_ms)
        sb_server_log(server, SB_LOG_INFO, "waiting up to %g s for processes with open requests", timeout_ms / 1000.0);
    reap_until(server, children, sb_deadline_ns(timeout_ms < 0 ? -1 : timeout_ms - quiet_ms), reaped);
    unsigned left = kill_all(children);
    if (left > 0)
        sb_server_log(server, SB_LOG_WARNING, "%s: ending %u process%s", sb_drain_reason(server), left,
                      left == 1 ? "" : "es");
    reap_until(server, children, NEVER, reaped);
}

void sb_children_abandon(struct sb_server *server, struct sb_children *children,
                         void (*forgotten)(struct sb_server *server, struct sb_child *child))
{
    struct sb_child *child;
    while ((child = LIST_FIRST(&children->list)) != NULL) {
        forget(server, child);
        forgotten(server, child);
    }
}
