#include "served.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <switchboard/switchboard.h>
#include <unistd.h>

#define ARGUMENTS_MAX 32

static const char *command(void)
{
    const char *path = getenv("SWITCHBOARD");
    cr_assert_not_null(path, "SWITCHBOARD must name the command");
    return path;
}

static pid_t running[16];   /* what a failed test leaves behind is ended after it */
static int n_running;

void served_kill_all(void)
{
    while (n_running > 0)
        kill(-running[--n_running], SIGKILL);
}

/* --- starting ----------------------------------------------------------------------------------------------------- */

static char *place(const char *argument, const char *folder)
{
    const char *socket = strstr(argument, ":SOCKET");
    char *text;
    if (!socket)
        text = strdup(argument);
    else if (asprintf(&text, "%.*s:%s/socket", (int)(socket - argument), argument, folder) < 0)
        text = NULL;
    cr_assert_not_null(text);
    return text;
}

/* Behind vfork(), which costs less than fork() where much is mapped; posix_spawn() knows no prctl(). */
__attribute__((noreturn)) static void become(char **argv, pid_t parent, int out, int err)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent && setpgid(0, 0) == 0 && dup2(out, STDOUT_FILENO) >= 0 && dup2(err, STDERR_FILENO) >= 0)
        execv(argv[0], argv);
    _exit(127);
}

static pid_t start_process(char **argv, int out, int err)
{
    const pid_t parent = getpid(), pid = vfork();
    if (pid == 0)
        become(argv, parent, out, err);
    cr_assert_gt(pid, 0, "cannot start %s: %s", argv[0], strerror(errno));
    return pid;
}

static pid_t spawn(const char *const *arguments, const char *folder, int *ret_out, int *ret_err)
{
    char *argv[ARGUMENTS_MAX] = { (char *)command(), "serve" };
    int n = 2, out[2], err[2];
    for (; *arguments && n < ARGUMENTS_MAX - 1; arguments++)
        argv[n++] = place(*arguments, folder);
    cr_assert(pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0);
    pid_t pid = start_process(argv, out[1], err[1]);
    close(out[1]);
    close(err[1]);
    for (n = 2; argv[n]; n++)
        free(argv[n]);
    *ret_out = out[0];
    *ret_err = err[0];
    return pid;
}

static bool readable(int fd)
{
    struct pollfd poller = { .fd = fd, .events = POLLIN };
    return poll(&poller, 1, DEADLINE_MS) == 1;
}

static void read_line(int fd, char *line, size_t size)
{
    size_t length = 0;
    while (length < size - 1) {
        cr_assert(readable(fd), "no ready line in time");
        ssize_t n = read(fd, line + length, 1);
        if (n <= 0 || line[length] == '\n')
            break;
        length++;
    }
    line[length] = '\0';
}

static void print_errors(int fd)
{
    char text[4096];
    ssize_t n = read(fd, text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    cr_log_error("%s", text);
}

/* Who serves is the first child of who watches over it; one that serves once has none. */
static pid_t first_child(pid_t pid)
{
    char path[64];
    int child = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    FILE *file = fopen(path, "re");
    if (file && fscanf(file, "%d", &child) != 1)
        child = 0;
    if (file)
        fclose(file);
    return child > 0 ? child : pid;
}

struct served served_start(const char *const *arguments)
{
    struct served served = { .folder = "/tmp/switchboard.XXXXXX" };
    char line[512];
    cr_assert_not_null(mkdtemp(served.folder));
    served.pid = spawn(arguments, served.folder, &served.out, &served.err);
    running[n_running++] = served.pid;
    cr_assert_lt(n_running, 16);
    read_line(served.out, line, sizeof line);
    if (sscanf(line, "listening %159s", served.address) != 1)
        print_errors(served.err);
    cr_assert(served.address[0], "no ready line but '%s'", line);
    fcntl(served.err, F_SETFL, O_NONBLOCK);
    served.serving = first_child(served.pid);
    return served;
}

/* --- ending ------------------------------------------------------------------------------------------------------- */

static int wait_for(pid_t pid)
{
    int status, pidfd = pidfd_open(pid, 0);
    cr_assert(readable(pidfd), "it did not end in time");
    close(pidfd);
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
}

int served_fails(const char *const *arguments, char *text, size_t size)
{
    int out, err;
    size_t length = 0;
    ssize_t n;
    pid_t pid = spawn(arguments, "/nonexistent", &out, &err);
    while (length < size - 1 && readable(err) && (n = read(err, text + length, size - 1 - length)) > 0)
        length += n;
    text[length] = '\0';
    close(out);
    close(err);
    return wait_for(pid);
}

int served_end(struct served *served, int signo)
{
    char path[64];
    if (signo)
        kill(served->pid, signo);
    int status = wait_for(served->pid);
    n_running -= running[n_running - 1] == served->pid;
    close(served->out);
    close(served->err);
    snprintf(path, sizeof path, "%s/socket", served->folder);
    if (status < 256)
        cr_expect(access(path, F_OK) < 0, "the socket's path is still there");
    unlink(path);
    rmdir(served->folder);
    return status;
}

void served_says(struct served *served, const char *text)
{
    const char *found;
    while (!(found = strstr(served->log + served->seen, text))) {
        cr_assert(readable(served->err), "it never said '%s', but: %s", text, served->log);
        ssize_t n = read(served->err, served->log + served->length, sizeof served->log - 1 - served->length);
        cr_assert(n > 0, "it ended without saying '%s', but: %s", text, served->log);
        served->length += n;
        served->log[served->length] = '\0';
    }
    served->seen = found - served->log + strlen(text);
}

/* --- talking ------------------------------------------------------------------------------------------------------ */

int dial(const char *text)
{
    struct sb_address address;
    struct timeval limit = { .tv_sec = DEADLINE_MS / 1000 };
    const char *why = "";
    cr_assert_eq(sb_address_parse(text, NULL, &address, &why), 0, "%s: %s", text, why);
    int fd = socket(address.sa.sa_family, address.socktype | SOCK_CLOEXEC, 0);
    if (address.socktype == SOCK_DGRAM && address.sa.sa_family == AF_UNIX)
        bind(fd, &(struct sockaddr){ .sa_family = AF_UNIX }, sizeof(sa_family_t));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    cr_assert_eq(connect(fd, &address.sa, address.size), 0, "%s: %s", text, strerror(errno));
    return fd;
}

void say(int fd, const void *data, size_t size)
{
    cr_assert_eq(send(fd, data, size, MSG_NOSIGNAL), (ssize_t)size, "send: %s", strerror(errno));
}

void hear(int fd, const void *data, size_t size)
{
    char heard[4096];
    size_t length = 0;
    while (length < size) {
        ssize_t n = recv(fd, heard + length, size - length, 0);
        cr_assert(n > 0, "heard %zd after %zu of %zu bytes: %s", n, length, size, strerror(errno));
        length += n;
    }
    cr_assert_arr_eq(heard, data, size);
}

void hear_end(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, 0);
    cr_assert_eq(n, 0, "no end, but %zd: %s", n, strerror(errno));
}

void hang_up(int fd)
{
    struct linger reset = { .l_onoff = 1 };
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
}

/* --- what is left ------------------------------------------------------------------------------------------------- */

static int count_entries(const char *path)
{
    int count = 0;
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder)) != NULL;)
        count += entry->d_name[0] != '.';
    if (folder)
        closedir(folder);
    return count;
}

int count_descriptors(pid_t pid)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    return count_entries(path);
}

int count_threads(pid_t pid)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    return count_entries(path);
}

int count_children(pid_t pid)
{
    char path[64];
    int count = 0, child;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    FILE *file = fopen(path, "re");
    while (file && fscanf(file, "%d", &child) == 1)
        count++;
    if (file)
        fclose(file);
    return count;
}
