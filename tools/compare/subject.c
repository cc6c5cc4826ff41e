#include "subject.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/param.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../calls.h"
#include "../clock.h"
#include "../descriptors.h"
#include "../processes.h"
#include "../signals.h"

#define READY_MS 60000
#define QUIET_MS 10000
#define QUIET_LOOKS 4
#define BETWEEN_LOOKS_MS 5
#define END_MS 60000
#define ASK_AGAIN_MS 3000       /* more than its drain timeout: it may not have heard while it was starting */
#define COMPLAINT_SIZE 4096

static void nap(int ms)
{
    nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000L }, NULL);
}

/* --- its child's side --------------------------------------------------------------------------------------------- */

static void fill_argv(const struct subject_plan *plan, const char *argv[])
{
    int n = 0;
    argv[n++] = plan->program;
    argv[n++] = "serve";
    argv[n++] = "-q";
    argv[n++] = "--drain-timeout=2";
    argv[n++] = "--unsupervised";   /* who watches over it is no strategy's */
    argv[n++] = "-s";
    argv[n++] = plan->strategy;
    if (plan->discipline) {
        argv[n++] = "-a";
        argv[n++] = plan->discipline;
    }
    for (int i = 0; plan->arguments[i]; i++)
        argv[n++] = plan->arguments[i];
    argv[n++] = "--";
    argv[n++] = plan->handler;
    argv[n++] = plan->address;
    argv[n] = NULL;
}

struct start {
    const struct subject_plan *plan;
    pid_t parent;
    int stdin_fd, stdout_fd, stderr_fd;
    int go_fd;                  /* an eventfd: the parent has done what must be done before execve(2) */
};

__attribute__((noreturn)) static void run_child(const struct start *start)
{
    const char *argv[SUBJECT_ARGUMENTS_MAX + 16];
    eventfd_t word;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != start->parent)
        _exit(127);
    signals_reset();
    descriptors_raise();
    fill_argv(start->plan, argv);
    if (dup2(start->stderr_fd, STDERR_FILENO) >= 0 && dup2(start->stdout_fd, STDOUT_FILENO) >= 0 &&
        dup2(start->stdin_fd, STDIN_FILENO) >= 0 &&
        sched_setaffinity(0, sizeof start->plan->cpus, &start->plan->cpus) == 0 &&
        eventfd_read(start->go_fd, &word) == 0)
        execv(start->plan->program, (char **)argv);
    dprintf(STDERR_FILENO, "cannot run %s: %s\n", start->plan->program, strerror(errno));
    _exit(127);
}

/* --- starting ----------------------------------------------------------------------------------------------------- */

/* It cannot grow, so a server that complains for ever fills no memory, and is not held up by it. */
static int open_stderr(void)
{
    int fd = memfd_create("stderr", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd >= 0 && ftruncate(fd, COMPLAINT_SIZE) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) == 0)
        return fd;
    int r = -errno;
    if (fd >= 0)
        close(fd);
    return r;
}

static int spawn(struct subject *subject, const struct start *start)
{
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0)
        run_child(start);
    subject->pid = pid;
    setpgid(pid, pid);
    int r = calls_open(pid);
    subject->calls_fd = r < 0 ? -1 : r;
    return eventfd_write(start->go_fd, 1) < 0 ? -errno : 0;
}

static void close_all(const int *fds, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/* A full pipe does not hold a server up either: its end too does not block. */
static int launch(struct subject *subject, const struct subject_plan *plan)
{
    int out[2] = { -1, -1 };
    int go_fd = eventfd(0, EFD_CLOEXEC), stdin_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int r = go_fd < 0 || stdin_fd < 0 || pipe2(out, O_CLOEXEC | O_NONBLOCK) < 0 ? -errno : open_stderr();
    if (r >= 0) {
        subject->stderr_fd = r;
        r = spawn(subject, &(struct start){ plan, getpid(), stdin_fd, out[1], subject->stderr_fd, go_fd });
    }
    subject->stdout_fd = out[0];
    close_all((int[]){ go_fd, stdin_fd, out[1] }, 3);
    return r;
}

/* -ECHILD: it has ended. */
static int read_ready_line(const struct subject *subject, const volatile bool *stop, char *line, size_t size)
{
    struct pollfd output = { .fd = subject->stdout_fd, .events = POLLIN };
    uint64_t end_ns = clock_in_ms(READY_MS);
    size_t length = 0;
    line[0] = '\0';
    while (!strchr(line, '\n')) {
        if (stop && *stop)
            return -ECANCELED;
        if (clock_left_ms(end_ns) == 0)
            return -ETIMEDOUT;
        poll(&output, 1, 50);
        ssize_t n = read(output.fd, line + length, size - 1 - length);
        if (n == 0)
            return length == size - 1 ? -EPROTO : -ECHILD;
        length += n > 0 ? n : 0;
        line[length] = '\0';
    }
    return 0;
}

/* "listening tcp://127.0.0.1:43211 handler=upper strategy=serial pid=4711" */
static int parse_ready_line(char *line, struct sb_address *ret_address)
{
    static const char begin[] = "listening ";
    char *end = strstr(line, " handler=");
    if (strncmp(line, begin, strlen(begin)) != 0 || !end)
        return -EPROTO;
    *end = '\0';
    return sb_address_parse(line + strlen(begin), NULL, ret_address, NULL);
}

int subject_settle(struct subject *subject, const volatile bool *stop)
{
    uint64_t end_ns = clock_in_ms(QUIET_MS);
    uint64_t last_ns = 0;
    for (int looks = 0; looks < QUIET_LOOKS && clock_left_ms(end_ns) > 0;) {
        struct process_tree tree;
        if (stop && *stop)
            return -ECANCELED;
        if (!subject_is_alive(subject))
            return -ECHILD;
        nap(BETWEEN_LOOKS_MS);
        if (process_tree_look(subject->pid, &tree) < 0)
            return -ENOMEM;
        uint64_t now_ns = process_tree_cpu_ns(&tree);
        looks = now_ns == last_ns && process_tree_is_asleep(&tree) ? looks + 1 : 0;
        last_ns = now_ns;
        process_tree_finish(&tree);
    }
    return 0;
}

static bool is_asleep(const struct subject *subject)
{
    struct process_tree tree;
    if (process_tree_look(subject->pid, &tree) < 0)
        return false;
    bool asleep = process_tree_is_asleep(&tree);
    process_tree_finish(&tree);
    return asleep;
}

/* A slow caller's byte may wake it in the moment of each look. */
bool subject_is_at_rest(struct subject *subject)
{
    for (int looks = 0; looks < QUIET_LOOKS && subject_is_alive(subject); looks++) {
        if (is_asleep(subject))
            return true;
        nap(BETWEEN_LOOKS_MS);
    }
    return !subject_is_alive(subject);
}

static void describe_end(const struct subject *subject, char why[SUBJECT_WHY_SIZE])
{
    int status = subject->status;
    if (WIFSIGNALED(status))
        snprintf(why, SUBJECT_WHY_SIZE, "it was killed by signal %d (%s) before it was ready", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(why, SUBJECT_WHY_SIZE, "it ended with status %d before it was ready", WEXITSTATUS(status));
}

/* Its own first sentence, without the name in front, says it best. */
static bool quote(const struct subject *subject, char why[SUBJECT_WHY_SIZE])
{
    static const char *const names[] = { "switchboard: ", "switchboard serve: " };
    char said[COMPLAINT_SIZE];
    subject_complaint(subject, said, sizeof said);
    said[strcspn(said, "\n")] = '\0';
    const char *sentence = said;
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(said, names[i], strlen(names[i])) == 0)
            sentence = said + strlen(names[i]);
    if (sentence[0] != '\0')
        snprintf(why, SUBJECT_WHY_SIZE, "%.*s", SUBJECT_WHY_SIZE - 1, sentence);
    return sentence[0] != '\0';
}

static void explain(const struct subject *subject, int error, char why[SUBJECT_WHY_SIZE])
{
    switch (error) {
    case -ECANCELED:
        snprintf(why, SUBJECT_WHY_SIZE, "it was called off");
        break;
    case -ECHILD:
        if (!quote(subject, why))
            describe_end(subject, why);
        break;
    case -ETIMEDOUT:
        snprintf(why, SUBJECT_WHY_SIZE, "it was not ready within %d s", READY_MS / 1000);
        break;
    case -EPROTO:
        snprintf(why, SUBJECT_WHY_SIZE, "the program is not this version of switchboard");
        break;
    default:
        snprintf(why, SUBJECT_WHY_SIZE, "it cannot be started: %s", strerror(-error));
    }
}

static int find_board(struct subject *subject)
{
    int r = sb_scoreboard_open(subject->pid, &subject->board);
    return r < 0 && !subject_is_alive(subject) ? -ECHILD : r;
}

int subject_start(struct subject *subject, const struct subject_plan *plan, const volatile bool *stop,
                  char why[SUBJECT_WHY_SIZE])
{
    char line[512];
    *subject = (struct subject){ .end_ms = plan->end_ms > 0 ? plan->end_ms : END_MS, .stdout_fd = -1,
                                 .stderr_fd = -1, .calls_fd = -1, .calls = -1 };
    int r = launch(subject, plan);
    if (r == 0)
        r = read_ready_line(subject, stop, line, sizeof line);
    if (r == 0)
        r = parse_ready_line(line, &subject->address);
    if (r == 0)
        r = find_board(subject);
    if (r == 0)
        r = subject_settle(subject, stop);
    if (r < 0) {
        subject_stop(subject);
        explain(subject, r, why);
        if (r == -ECHILD && WIFEXITED(subject->status) && WEXITSTATUS(subject->status) == 2)
            r = -EBADRQC;
        subject_free(subject);
    }
    return r;
}

/* --- looking ------------------------------------------------------------------------------------------------------ */

static void empty_stdout(const struct subject *subject)
{
    char text[4096];
    for (int i = 0; i < 256 && read(subject->stdout_fd, text, sizeof text) > 0; i++)
        ;
}

long subject_sample(struct subject *subject)
{
    struct process_tree tree;
    empty_stdout(subject);
    if (subject->pid == 0 || process_tree_look(subject->pid, &tree) < 0)
        return 0;
    long pss_kb = process_tree_pss_kb(&tree);
    subject->pss_kb = MAX(subject->pss_kb, pss_kb);
    subject->processes = MAX(subject->processes, tree.n);
    subject->threads = MAX(subject->threads, tree.threads);
    process_tree_finish(&tree);
    return pss_kb;
}

void subject_complaint(const struct subject *subject, char *text, size_t size)
{
    char said[COMPLAINT_SIZE + 1];
    ssize_t length = subject->stderr_fd < 0 ? 0 : pread(subject->stderr_fd, said, COMPLAINT_SIZE, 0);
    said[MAX(length, 0)] = '\0';
    snprintf(text, size, "%s", said);
    size_t end = strlen(text);
    if (end < strlen(said) && strrchr(text, '\n'))
        end = strrchr(text, '\n') - text;
    while (end > 0 && text[end - 1] == '\n')
        end--;
    text[end] = '\0';
}

/* --- ending ------------------------------------------------------------------------------------------------------- */

/* Until it is waited for nobody else can be given the number of its process group. */
static void bury(struct subject *subject)
{
    kill(-subject->pid, SIGKILL);
    while (wait4(subject->pid, &subject->status, 0, &subject->usage) < 0 && errno == EINTR)
        ;
    subject->pid = 0;
    subject->calls = calls_read(subject->calls_fd);
}

bool subject_is_alive(struct subject *subject)
{
    siginfo_t end = { 0 };
    if (subject->pid == 0)
        return false;
    if (waitid(P_PID, subject->pid, &end, WEXITED | WNOHANG | WNOWAIT) == 0 && end.si_pid == 0)
        return true;
    bury(subject);
    return false;
}

void subject_stop(struct subject *subject)
{
    uint64_t end_ns = clock_in_ms((unsigned)subject->end_ms), ask_ns = clock_ns();
    for (; subject_is_alive(subject); nap(1)) {
        if (clock_left_ms(ask_ns) == 0) {
            kill(subject->pid, SIGTERM);
            ask_ns = clock_in_ms(ASK_AGAIN_MS);
        }
        if (clock_left_ms(end_ns) == 0)
            bury(subject);
    }
}

void subject_free(struct subject *subject)
{
    subject_stop(subject);
    close_all((int[]){ subject->stdout_fd, subject->stderr_fd, subject->calls_fd }, 3);
    sb_scoreboard_close(subject->board);
    subject->stdout_fd = subject->stderr_fd = subject->calls_fd = -1;
    subject->board = NULL;
}
