/* Does what each line orders, and answers in one line: what a handler may wait for, and what it must not. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <switchboard/switchboard.h>
#include <time.h>
#include <unistd.h>

enum { SILENCES_MAX = 1000 };

static atomic_int number;       /* of the answer, among all of this process */
static int bell = -1;           /* of all its requests */

/* A named pipe that stays open, so that only its bytes matter. */
static int open_pipe(const char *path, int flags)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | flags);
    return fd < 0 ? -errno : fd;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

/* --- orders: each returns 0 or more, or -errno -------------------------------------------------------------------- */

static int say_number(struct sb_request *request, char *word)
{
    return sb_printf(request, "%d %s\n", ++number, word);
}

static int say_pid(struct sb_request *request, char *word)
{
    (void)word;
    return sb_printf(request, "%d\n", (int)getpid());
}

__attribute__((noinline)) static int descend(int kib)
{
    volatile char some[1024];
    some[0] = kib;
    return kib > 1 ? descend(kib - 1) + some[0] : 0;
}

static int deep(struct sb_request *request, char *kib)
{
    descend(atoi(kib));
    return sb_printf(request, "deep\n");
}

/* Holds its thread until the pipe has a byte. */
static int hold(struct sb_request *request, char *path)
{
    char byte;
    int fd = open_pipe(path, 0);
    if (fd < 0)
        return fd;
    ssize_t n = read(fd, &byte, 1);
    close(fd);
    return sb_printf(request, "held %zd\n", n);
}

static int doze(struct sb_request *request, char *seconds)
{
    return sb_printf(request, "dozed %u\n", sleep(atoi(seconds)));
}

static int wait_for(struct sb_request *request, int fd, short events, int timeout_ms)
{
    int r = sb_wait_fd(request, fd, events, timeout_ms);
    return r == -ETIMEDOUT ? sb_printf(request, "timed out\n")
         : r < 0           ? r
                           : sb_printf(request, "%s%s\n", r & POLLIN ? "in" : "", r & POLLOUT ? "out" : "");
}

static int wait_pipe(struct sb_request *request, char *path)
{
    char byte;
    int fd = open_pipe(path, O_NONBLOCK);
    int r = fd < 0 ? fd : wait_for(request, fd, POLLIN, -1);
    if (r >= 0 && read(fd, &byte, 1) != 1)
        r = -EIO;
    if (fd >= 0)
        close(fd);
    return r;
}

static int wait_file(struct sb_request *request, char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int r = fd < 0 ? -errno : wait_for(request, fd, POLLIN | POLLOUT, 10000);
    if (fd >= 0)
        close(fd);
    return r;
}

static int wait_own(struct sb_request *request, char *ms)
{
    int r = sb_printf(request, "waits\n");
    return r < 0 ? r : wait_for(request, sb_fileno(request), POLLIN, atoi(ms));
}

static int wait_bell(struct sb_request *request, char *ms)
{
    return wait_for(request, bell, POLLIN, atoi(ms));
}

static int ring(struct sb_request *request, char *word)
{
    const uint64_t one = 1;
    (void)word;
    return write(bell, &one, sizeof one) < 0 ? -errno : sb_printf(request, "rung\n");
}

/* When it should have ended, how much later it did, and which it was among all. */
static int nap(struct sb_request *request, char *ms)
{
    int64_t until = now_ms() + atoi(ms);
    int r = sb_sleep(request, atoi(ms));
    return r < 0 ? r : sb_printf(request, "%lld %lld %d\n", (long long)until, (long long)(now_ms() - until), ++number);
}

struct job {
    const char *path;
    int thread;
};

static void run_job(void *argument)
{
    struct job *job = argument;
    char byte;
    job->thread = gettid();
    int fd = *job->path ? open_pipe(job->path, 0) : -1;
    if (fd < 0)
        return;
    if (read(fd, &byte, 1) < 0)
        job->thread = -errno;
    close(fd);
}

static int offload(struct sb_request *request, char *path)
{
    struct job job = { .path = path, .thread = -1 };
    int r = sb_offload(request, run_job, &job);
    return r < 0 ? r : sb_printf(request, "%s\n", job.thread == gettid() ? "here" : "there");
}

/* "ADDRESS MS": says hello to another server, and passes its answer on. */
static int call(struct sb_request *request, char *words)
{
    char text[128] = "", *ms = strchr(words, ' ');
    if (!ms)
        return -EINVAL;
    *ms++ = '\0';
    int fd = sb_connect(request, words, atoi(ms));
    if (fd < 0)
        return sb_printf(request, "%s\n", strerrorname_np(-fd));
    if (write(fd, "hello", 5) != 5 || sb_wait_fd(request, fd, POLLIN, -1) < 0 || read(fd, text, sizeof text - 1) < 0)
        strcpy(text, "nothing");
    close(fd);
    return sb_printf(request, "%s\n", text);
}

static int fill(struct sb_request *request, char *size)
{
    static const char block[4096];
    for (long left = atol(size); left > 0; left -= sizeof block) {
        int r = sb_sendall(request, block, sizeof block);
        if (r < 0)
            return r;
    }
    return 0;
}

/* A child that keeps copies of all descriptors until the pipe has a byte. */
static int fork_child(struct sb_request *request, char *path)
{
    char byte;
    int fd = open_pipe(path, 0);
    pid_t child = fd < 0 ? -1 : fork();
    if (child == 0)
        _exit(read(fd, &byte, 1) != 1);
    if (fd >= 0)
        close(fd);
    return child < 0 ? -EIO : sb_printf(request, "forked\n");
}

static const struct order {
    const char *word;
    int (*obey)(struct sb_request *request, char *rest);
} orders[] = {
    { "number", say_number }, { "pid", say_pid }, { "deep", deep }, { "hold", hold }, { "doze", doze },
    { "pipe", wait_pipe }, { "file", wait_file }, { "own", wait_own }, { "bell", wait_bell }, { "ring", ring },
    { "nap", nap }, { "offload", offload }, { "call", call }, { "fill", fill }, { "fork", fork_child },
};

static int obey(struct sb_request *request, char *line)
{
    char *word = strsep(&line, " ");
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++)
        if (strcmp(orders[i].word, word) == 0)
            return orders[i].obey(request, line ? line : "");
    return sb_printf(request, "%s?\n", word);
}

/* A caller who says nothing for too long is asked, some times. */
static int handle(struct sb_request *request)
{
    char line[256];
    int silences = 0, r = 0;
    while (r >= 0) {
        ssize_t n = sb_readline(request, line, sizeof line);
        if (n == -ETIMEDOUT && ++silences <= SILENCES_MAX) {
            r = sb_printf(request, "silent\n");
            continue;
        }
        if (n <= 0)
            return n;
        line[strcspn(line, "\n")] = '\0';
        if (strcmp(line, "bye") == 0)
            return 0;
        r = obey(request, line);
    }
    return r;
}

static int configure(struct sb_server *server, void *options)
{
    (void)server;
    (void)options;
    bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return bell < 0 ? -errno : 0;
}

static void release(void *options)
{
    (void)options;
    close(bell);
}

SB_HANDLER(.name = "orders", .summary = "does what each line orders", .traits = SB_CALLER_FIRST, .handle = handle,
           .configure = configure, .release = release);
