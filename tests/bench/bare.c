/* The classic designs of a server, written by hand as a textbook writes them: what the switchboard is measured against.
 *
 *     bare serial | thread | fork | pool | prefork | prethread [WORKERS]
 *     bare epoll | uring | udp            one thread; uring: where liburing is found; udp: datagrams in batches
 *
 * Accept, recv, toupper, send, and nothing else: no deadline, no limit, no log. Ends on SIGTERM after reaping its
 * children. */
#include "bare.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "echo.h"

enum { MAX_WORKERS = 64, QUEUE_SIZE = 128, STACK_SIZE = 256 * 1024, EVENTS = 256, DATAGRAMS = 64 };

static const char *design;
static int listener;
static int workers = 8;
static pid_t children[MAX_WORKERS];

/* A process's CPU time counts in its parent's only when it has been waited for. */
static void end(int signal)
{
    (void)signal;
    for (int i = 0; i < workers && children[i] > 0; i++)
        kill(children[i], SIGTERM);
    while (wait(NULL) > 0)
        ;
    _exit(0);
}

/* When all workers have been started. */
static void start_serving(void)
{
    sigaction(SIGTERM, &(struct sigaction){ .sa_handler = end }, NULL);
    announce(listener, design);
}

static void serve(int fd)
{
    char buffer[4096];
    ssize_t n;
    while ((n = recv(fd, buffer, sizeof(buffer), 0)) > 0) {
        upper(buffer, (size_t)n);
        if (send(fd, buffer, (size_t)n, MSG_NOSIGNAL) < 0)
            break;
    }
    close(fd);
}

static void serve_forever(void)
{
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd >= 0)
            serve(fd);
    }
}

static void run_serial(void)
{
    start_serving();
    serve_forever();
}

static void *connection_main(void *arg)
{
    serve((int)(intptr_t)arg);
    return NULL;
}

static void run_thread(void)
{
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&detached, STACK_SIZE);
    start_serving();
    for (;;) {
        pthread_t thread;
        int fd = accept(listener, NULL, NULL);
        if (fd >= 0 && pthread_create(&thread, &detached, connection_main, (void *)(intptr_t)fd) != 0)
            close(fd);
    }
}

static void reap(int signal)
{
    int saved = errno;
    (void)signal;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    errno = saved;
}

static void run_fork(void)
{
    sigaction(SIGCHLD, &(struct sigaction){ .sa_handler = reap, .sa_flags = SA_RESTART }, NULL);
    start_serving();
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            continue;
        if (fork() == 0) {
            close(listener);
            serve(fd);
            _exit(0);
        }
        close(fd);
    }
}

static struct {
    pthread_mutex_t lock;   /* guards the fields below */
    pthread_cond_t not_empty, not_full;
    int fds[QUEUE_SIZE];
    unsigned head, count;
} queue = { .lock = PTHREAD_MUTEX_INITIALIZER, .not_empty = PTHREAD_COND_INITIALIZER,
            .not_full = PTHREAD_COND_INITIALIZER };

static void queue_put(int fd)
{
    pthread_mutex_lock(&queue.lock);
    while (queue.count == QUEUE_SIZE)
        pthread_cond_wait(&queue.not_full, &queue.lock);
    queue.fds[(queue.head + queue.count++) % QUEUE_SIZE] = fd;
    pthread_cond_signal(&queue.not_empty);
    pthread_mutex_unlock(&queue.lock);
}

static int queue_get(void)
{
    pthread_mutex_lock(&queue.lock);
    while (queue.count == 0)
        pthread_cond_wait(&queue.not_empty, &queue.lock);
    int fd = queue.fds[queue.head++ % QUEUE_SIZE];
    queue.count--;
    pthread_cond_signal(&queue.not_full);
    pthread_mutex_unlock(&queue.lock);
    return fd;
}

static void *pool_main(void *arg)
{
    (void)arg;
    for (;;)
        serve(queue_get());
    return NULL;
}

static void *prethread_main(void *arg)
{
    (void)arg;
    serve_forever();
    return NULL;
}

static void start_threads(int count, void *(*start)(void *))
{
    for (int i = 0; i < count; i++) {
        pthread_t thread;
        if ((errno = pthread_create(&thread, NULL, start, NULL)) != 0)
            die("pthread_create");
    }
}

static void run_pool(void)
{
    start_threads(workers, pool_main);
    start_serving();
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd >= 0)
            queue_put(fd);
    }
}

static void run_prethread(void)
{
    start_threads(workers, prethread_main);
    start_serving();
    for (;;)
        pause();
}

static void run_prefork(void)
{
    for (int i = 0; i < workers; i++) {
        children[i] = fork();
        if (children[i] < 0)
            die("fork");
        if (children[i] == 0) {
            prctl(PR_SET_PDEATHSIG, SIGTERM);
            serve_forever();
        }
    }
    start_serving();
    for (;;)
        pause();
}

/* One event of a connection; whether it goes on. An edge comes once, so it reads on where more may be there. An answer
 * that does not fit the socket ends the connection: a caller here has one question out at a time. */
static bool answer(int fd, bool caller_ended)
{
    char buffer[4096];
    ssize_t n;
    do {
        n = recv(fd, buffer, sizeof(buffer), 0);
        if (n <= 0)
            return n < 0 && errno == EAGAIN;
        upper(buffer, (size_t)n);
        if (send(fd, buffer, (size_t)n, MSG_NOSIGNAL) != n)
            return false;
    } while (caller_ended || n == (ssize_t)sizeof(buffer));
    return true;
}

/* Who connects has mostly spoken by then, so it answers first and registers afterwards. */
static void accept_all(int epoll_fd)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.fd = fd };
        if (!answer(fd, false) || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
            close(fd);
    }
}

static void run_epoll(void)
{
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[EVENTS], accepting = { .events = EPOLLIN, .data.fd = listener };
    if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &accepting) < 0)
        die("epoll");
    start_serving();
    for (;;) {
        int n = epoll_wait(epoll_fd, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listener)
                accept_all(epoll_fd);
            else if (!answer(fd, events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
                close(fd);
        }
    }
}

static void run_udp(void)
{
    static char buffers[DATAGRAMS][4096];
    static struct sockaddr_in peers[DATAGRAMS];
    static struct iovec places[DATAGRAMS];
    static struct mmsghdr messages[DATAGRAMS];
    start_serving();
    for (;;) {
        for (int i = 0; i < DATAGRAMS; i++) {
            places[i] = (struct iovec){ buffers[i], sizeof(buffers[i]) };
            messages[i].msg_hdr = (struct msghdr){ .msg_name = &peers[i], .msg_namelen = sizeof(peers[i]),
                                                   .msg_iov = &places[i], .msg_iovlen = 1 };
        }
        int n = recvmmsg(listener, messages, DATAGRAMS, MSG_WAITFORONE, NULL);
        for (int i = 0; i < n; i++) {
            places[i].iov_len = messages[i].msg_len;
            upper(buffers[i], messages[i].msg_len);
        }
        if (n > 0)
            sendmmsg(listener, messages, (unsigned)n, 0);
    }
}

#ifdef HAVE_LIBURING
static void run_uring(void)
{
    bare_uring_init(listener);
    start_serving();
    bare_uring_serve();
}
#endif

static const struct {
    const char *name;
    int type;
    void (*run)(void);
} designs[] = {
    { "serial", SOCK_STREAM, run_serial },
    { "thread", SOCK_STREAM, run_thread },
    { "fork", SOCK_STREAM, run_fork },
    { "pool", SOCK_STREAM, run_pool },
    { "prefork", SOCK_STREAM, run_prefork },
    { "prethread", SOCK_STREAM, run_prethread },
    { "epoll", SOCK_STREAM | SOCK_NONBLOCK, run_epoll },
#ifdef HAVE_LIBURING
    { "uring", SOCK_STREAM, run_uring },
#endif
    { "udp", SOCK_DGRAM, run_udp },
};

static int misuse(void)
{
    fprintf(stderr, "bare: say which design: serial, thread, fork, pool, prefork or prethread, then 1 to %d workers; "
            "or epoll, udp or (built with liburing) uring\n", MAX_WORKERS);
    return 2;
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3)
        return misuse();
    design = argv[1];
    if (argc == 3)
        workers = atoi(argv[2]);
    if (workers < 1 || workers > MAX_WORKERS)
        return misuse();
    for (size_t i = 0; i < sizeof(designs) / sizeof(designs[0]); i++) {
        if (strcmp(design, designs[i].name) == 0) {
            raise_descriptor_limit();
            listener = listen_somewhere(designs[i].type);
            designs[i].run();
        }
    }
    return misuse();
}
