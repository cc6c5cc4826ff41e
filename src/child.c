#include "child.h"

#include <errno.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker.h"

int sb_children_open(struct sb_server *server)
{
    if (server->children_fd < 0)
        server->children_fd = epoll_create1(EPOLL_CLOEXEC);
    return server->children_fd < 0 ? -errno : 0;
}

void sb_child_note_signals(struct sb_server *server)
{
    server->serves_in_main = gettid() == getpid();
    sigemptyset(&server->handled);
    for (int signo = 1; signo < NSIG; signo++) {
        struct sigaction action;
        if (sigaction(signo, NULL, &action) == 0 && action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN)
            sigaddset(&server->handled, signo);
    }
}

/* A child does not outlive its parent. The signal comes when the thread that forked ends (prctl(2)), so only a main
 * thread's children can ask for it. */
static void follow_parent(const struct sb_server *server)
{
    if (server->serves_in_main)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static void reset_signals(const struct sb_server *server, const sigset_t *mask)
{
    for (int signo = 1; signo < NSIG; signo++)
        if (sigismember(&server->handled, signo) == 1)
            signal(signo, signo == SIGINT || signo == SIGTERM ? SIG_IGN : SIG_DFL);
    sigprocmask(SIG_SETMASK, mask, NULL);
}

__attribute__((noreturn)) static void run_child(struct sb_server *server, struct sb_child *child, const sigset_t *mask,
                                                int (*run)(struct sb_server *, struct sb_child *))
{
    follow_parent(server);
    reset_signals(server, mask);
    int r = sb_server_adopt(server, child->request);
    server->process_slot = child->slot;
    sb_slot_occupy(server, child->slot, server->process);
    _exit(r < 0 ? 1 : run(server, child));
}

/* A child that cannot be watched cannot be kept. */
static int watch(struct sb_server *server, struct sb_child *child)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = child };
    child->pidfd = pidfd_open(child->pid, 0);
    if (child->pidfd >= 0 && epoll_ctl(server->children_fd, EPOLL_CTL_ADD, child->pidfd, &event) == 0)
        return 0;
    int r = -errno;
    if (child->pidfd >= 0)
        close(child->pidfd);
    kill(child->pid, SIGKILL);
    while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return r;
}

static void add(struct sb_children *children, struct sb_child *child)
{
    child->next = children->first;
    child->link = &children->first;
    if (child->next)
        child->next->link = &child->next;
    children->first = child;
}

int sb_child_start(struct sb_server *server, struct sb_children *children, struct sb_child *child,
                   int (*run)(struct sb_server *server, struct sb_child *child))
{
    sigset_t all, mask;
    int r;
    child->slot = sb_slot_claim(server, child->worker);
    child->parent = server->process;
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
        sb_slot_release(server, child->slot, SB_FREE);
        return r;
    }
    add(children, child);
    return 0;
}

static void forget(struct sb_server *server, struct sb_child *child)
{
    /* Siblings have inherited the pidfd, so closing ours would not take it out. */
    epoll_ctl(server->children_fd, EPOLL_CTL_DEL, child->pidfd, NULL);
    close(child->pidfd);
    *child->link = child->next;
    if (child->next)
        child->next->link = child->link;
}

/* A full batch may not be all. */
static bool look_for_ended(struct sb_server *server, struct sb_children *children)
{
    const int room = sizeof children->ended / sizeof *children->ended;
    bool all = children->n_ended > 0 && children->n_ended < room;
    children->next_ended = children->n_ended = 0;
    if (children->first && !all)
        children->n_ended = epoll_wait(server->children_fd, children->ended, room, 0);
    if (children->n_ended < 0)
        children->n_ended = 0;
    return children->n_ended > 0;
}

struct sb_child *sb_child_reap(struct sb_server *server, struct sb_children *children)
{
    if (children->next_ended == children->n_ended && !look_for_ended(server, children))
        return NULL;
    struct sb_child *child = children->ended[children->next_ended++].data.ptr;
    while (waitpid(child->pid, &child->status, 0) < 0 && errno == EINTR)
        ;
    forget(server, child);
    return child;
}

static void reap_until(struct sb_server *server, struct sb_children *children, int64_t deadline_ns,
                       void (*reaped)(struct sb_server *, struct sb_child *))
{
    struct pollfd fd = { .fd = server->children_fd, .events = POLLIN };
    struct sb_child *child;
    while (children->first) {
        if (poll(&fd, 1, sb_remaining_ms(deadline_ns)) == 0)
            return;
        while ((child = sb_child_reap(server, children)) != NULL)
            reaped(server, child);
    }
}

static unsigned kill_all(struct sb_children *children)
{
    unsigned count = 0;
    for (struct sb_child *child = children->first; child; child = child->next, count++) {
        child->killed = true;
        kill(child->pid, SIGKILL);
    }
    return count;
}

void sb_children_drain(struct sb_server *server, struct sb_children *children, int timeout_ms,
                       void (*reaped)(struct sb_server *server, struct sb_child *child))
{
    int quiet_ms = timeout_ms < 0 || timeout_ms > QUIET_DRAIN_MS ? QUIET_DRAIN_MS : timeout_ms;
    reap_until(server, children, sb_deadline_ns(quiet_ms), reaped);
    if (children->first && timeout_ms > quiet_ms)
        sb_server_log(server, SB_LOG_INFO, "waiting up to %g s for processes with open requests", timeout_ms / 1000.0);
    reap_until(server, children, sb_deadline_ns(timeout_ms < 0 ? -1 : timeout_ms - quiet_ms), reaped);
    unsigned left = kill_all(children);
    if (left > 0)
        sb_server_log(server, SB_LOG_WARNING, "the drain deadline has passed: ending %u process%s", left,
                      left == 1 ? "" : "es");
    reap_until(server, children, NEVER, reaped);
}

void sb_children_abandon(struct sb_server *server, struct sb_children *children,
                         void (*forgotten)(struct sb_server *server, struct sb_child *child))
{
    struct sb_child *child;
    while ((child = children->first) != NULL) {
        forget(server, child);
        forgotten(server, child);
    }
}
