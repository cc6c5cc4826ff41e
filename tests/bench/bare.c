/* The classic designs of a server, written by hand as a textbook writes them: what the switchboard is measured against.
 *
 *     bare serial | thread | fork | pool | prefork | prethread [WORKERS]
 *
 * Accept, recv, toupper, send, and nothing else: no deadline, no limit, no log. Listens on 127.0.0.1, says where on
 * standard output in the words of `switchboard serve`, and ends on SIGTERM after reaping its children. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_WORKERS = 64, QUEUE_SIZE = 128, STACK_SIZE = 256 * 1024 };

static const char *design;
static int listener;
static int workers = 8;
static pid_t children[MAX_WORKERS];

static void die(const char *what)
{
    fprintf(stderr, "bare: %s: %s\n", what, strerror(errno));
    exit(1);
}

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
static void announce(void)
{
    struct sockaddr_in address;
    socklen_t size = sizeof(address);
    if (getsockname(listener, (struct sockaddr *)&address, &size) < 0)
        die("getsockname");
    sigaction(SIGTERM, &(struct sigaction){ .sa_handler = end }, NULL);
    printf("listening tcp://127.0.0.1:%d handler=upper strategy=%s pid=%d\n", ntohs(address.sin_port), design,
           (int)getpid());
    fflush(stdout);
}

static void serve(int fd)
{
    char buffer[4096];
    ssize_t n;
    while ((n = recv(fd, buffer, sizeof(buffer), 0)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            if (buffer[i] >= 'a' && buffer[i] <= 'z')
                buffer[i] -= 'a' - 'A';
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
    announce();
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
    announce();
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
    announce();
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
    announce();
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd >= 0)
            queue_put(fd);
    }
}

static void run_prethread(void)
{
    start_threads(workers, prethread_main);
    announce();
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
    announce();
    for (;;)
        pause();
}

static const struct {
    const char *name;
    void (*run)(void);
} designs[] = {
    { "serial", run_serial },   { "thread", run_thread },   { "fork", run_fork },
    { "pool", run_pool },       { "prefork", run_prefork }, { "prethread", run_prethread },
};

static int misuse(void)
{
    fprintf(stderr, "bare: say which design: serial, thread, fork, pool, prefork or prethread, then 1 to %d workers\n",
            MAX_WORKERS);
    return 2;
}

static void start_listening(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(listener, SOMAXCONN) < 0)
        die("cannot listen on 127.0.0.1");
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
            start_listening();
            designs[i].run();
        }
    }
    return misuse();
}
