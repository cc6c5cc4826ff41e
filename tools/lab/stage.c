#include "stage.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <poll.h>
#include <unistd.h>

#include "../calls.h"
#include "../clock.h"
#include "../descriptors.h"
#include "../signals.h"

enum { ARGUMENTS_MAX = 64, END_MS = 3000 };

#define TEXT_(number) #number
#define TEXT(number) TEXT_(number)

/* --- its child's side --------------------------------------------------------------------------------------------- */

static void fill_argv(const struct stage_plan *plan, const char *argv[])
{
    const struct stage_play *play = &plan->play;
    const char *const always[] = { "switchboard", "serve", "-q", "--restart", "--trace=" TEXT(STAGE_TRACE),
                                   "--drain-timeout=1", "--max-connections=2000", "-s", play->strategy };
    unsigned n = 0;
    for (; n < sizeof always / sizeof *always; n++)
        argv[n] = always[n];
    if (plan->force)
        argv[n++] = "--force";
    if (play->accept[0]) {
        argv[n++] = "-a";
        argv[n++] = play->accept;
    }
    for (unsigned i = 0; i < play->n_options; i++) {
        argv[n++] = "-o";
        argv[n++] = play->options[i];
    }
    argv[n++] = "--";
    argv[n++] = play->handler;
    for (int i = 0; plan->addresses[i]; i++)
        argv[n++] = plan->addresses[i];
    argv[n] = NULL;
}

/* This program is switchboard-lab, and lies beside it. */
static bool find_program(char path[PATH_MAX])
{
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);
    path[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(path, '/');
    if (!slash || slash - path + sizeof "/switchboard" > PATH_MAX)
        return false;
    strcpy(slash, "/switchboard");
    return true;
}

__attribute__((noreturn)) static void run_child(const struct stage_plan *plan, pid_t parent, int stdout_fd, int go_fd)
{
    const char *argv[ARGUMENTS_MAX];
    char path[PATH_MAX];
    eventfd_t word;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    signals_reset();
    descriptors_raise();
    fill_argv(plan, argv);
    if (getppid() == parent && find_program(path) && dup2(stdout_fd, STDOUT_FILENO) >= 0 &&
        eventfd_read(go_fd, &word) == 0)
        execv(path, (char **)argv);
    dprintf(STDERR_FILENO, "switchboard lab: cannot start switchboard serve: %s\n", strerror(errno));
    _exit(1);
}

/* --- the beginning ------------------------------------------------------------------------------------------------ */

static int launch(struct stage *stage, const struct stage_plan *plan)
{
    int out[2], go_fd = eventfd(0, EFD_CLOEXEC);
    pid_t parent = getpid();
    if (go_fd < 0 || pipe2(out, O_CLOEXEC) < 0) {
        if (go_fd >= 0)
            close(go_fd);
        return -errno;
    }
    fflush(NULL);
    stage->stdout_fd = out[0];
    stage->pid = fork();
    if (stage->pid == 0)
        run_child(plan, parent, out[1], go_fd);
    int r = stage->pid < 0 ? -errno : 0;
    if (r == 0) {
        setpgid(stage->pid, stage->pid);
        stage->calls_fd = calls_open(stage->pid);
        stage->switches_fd = switches_open(stage->pid);
        r = eventfd_write(go_fd, 1) < 0 ? -errno : 0;
    }
    close(out[1]);
    close(go_fd);
    return r;
}

static void take_line(struct stage *stage, const char *line)
{
    static const char begin[] = "listening ";
    char text[SB_ADDRESS_TEXT_SIZE];
    if (strncmp(line, begin, strlen(begin)) != 0 || stage->n_addresses == STAGE_ADDRESSES_MAX)
        return;
    line += strlen(begin);
    snprintf(text, sizeof text, "%.*s", (int)strcspn(line, " "), line);
    stage->n_addresses += sb_address_parse(text, NULL, &stage->addresses[stage->n_addresses], NULL) == 0;
}

/* All its lines come at once. */
static void hear(struct stage *stage)
{
    char text[8192], *line, *rest = text;
    ssize_t size = 0, n;
    while (size < (ssize_t)sizeof text - 1 && (n = read(stage->stdout_fd, text + size, sizeof text - 1 - size)) > 0) {
        size += n;
        if (text[size - 1] == '\n')
            break;
    }
    text[size] = '\0';
    while ((line = strsep(&rest, "\n")) != NULL)
        take_line(stage, line);
}

static int bury(struct stage *stage)
{
    while (waitpid(stage->pid, &stage->status, 0) < 0 && errno == EINTR)
        ;
    stage->pid = 0;
    return WIFEXITED(stage->status) && WEXITSTATUS(stage->status) > 0 ? WEXITSTATUS(stage->status) : 1;
}

int stage_start(struct stage *stage, const struct stage_plan *plan)
{
    *stage = (struct stage){ .stdout_fd = -1, .calls_fd = -1, .switches_fd = -1, .now = plan->play,
                             .next = plan->play };
    int r = launch(stage, plan);
    if (r < 0) {
        fprintf(stderr, "switchboard lab: cannot start a server: %s\n", strerror(-r));
        return 1;
    }
    hear(stage);
    if (stage->n_addresses > 0) {
        fcntl(stage->stdout_fd, F_SETFL, O_NONBLOCK);
        return 0;
    }
    kill(stage->pid, SIGTERM);      /* it has ended already, or a Control-C came meanwhile */
    return bury(stage);
}

/* --- changes ------------------------------------------------------------------------------------------------------ */

static void set(char text[ORDER_TEXT_SIZE], const char *wanted)
{
    if (wanted[0])
        snprintf(text, ORDER_TEXT_SIZE, "%s", wanted);
}

static void set_option(struct stage_play *play, const char *option)
{
    size_t length = strcspn(option, "=") + 1;
    unsigned i = 0;
    while (i < play->n_options && strncmp(play->options[i], option, length) != 0)
        i++;
    if (i == ORDER_OPTIONS_MAX)
        return;
    set(play->options[i], option);
    play->n_options += i == play->n_options;
}

/* As `switch` does it: another handler begins without options. A strategy with another number is the server's to
 * name. */
static void foresee(struct stage_play *play, const struct order_change *wanted)
{
    if (wanted->handler[0] && strcmp(wanted->handler, play->handler) != 0)
        play->n_options = 0;
    set(play->strategy, wanted->strategy);
    set(play->accept, wanted->accept);
    set(play->handler, wanted->handler);
    for (unsigned i = 0; i < wanted->n_options; i++)
        set_option(play, wanted->options[i]);
}

static unsigned fill_words(const struct order_change *wanted, const char *pid, const char *words[])
{
    const struct { const char *option, *value; } options[] = {
        { "-s", wanted->strategy }, { "-a", wanted->accept }, { "-w", wanted->workers },
    };
    unsigned n = 0;
    words[n++] = "switch";
    words[n++] = "--no-wait";
    for (unsigned i = 0; i < 3; i++)
        if (options[i].value[0]) {
            words[n++] = options[i].option;
            words[n++] = options[i].value;
        }
    for (unsigned i = 0; i < wanted->n_options && n + 5 < CHANGE_WORDS_MAX; i++) {
        words[n++] = "-o";
        words[n++] = wanted->options[i];
    }
    words[n++] = "--";
    words[n++] = pid;
    if (wanted->handler[0])
        words[n++] = wanted->handler;
    words[n] = NULL;
    return n;
}

bool stage_change(struct stage *stage, const struct order_change *wanted, char *why, size_t why_size)
{
    const char *words[CHANGE_WORDS_MAX + 1];
    char pid[16];
    if (stage->pid == 0 || stage->changing) {
        snprintf(why, why_size, "%s",
                 stage->pid == 0 ? "the server has ended" : "the change before is still under way");
        return false;
    }
    stage->next = stage->now;
    foresee(&stage->next, wanted);
    snprintf(pid, sizeof pid, "%d", (int)stage->pid);
    fill_words(wanted, pid, words);
    stage->change.status = 0;
    change_start(&stage->change, words);
    stage->changing = true;
    return true;
}

static bool look_for_change(struct stage *stage)
{
    if (!stage->changing)
        return false;
    change_look(&stage->change);
    if (stage->change.pid > 0)
        return false;
    stage->changing = false;
    if (stage->change.status == 0)
        stage->now = stage->next;
    return true;
}

/* What handlers print. */
static void pass_on(const struct stage *stage)
{
    char text[4096];
    ssize_t size;
    for (int i = 0; i < 16 && (size = read(stage->stdout_fd, text, sizeof text)) > 0; i++)
        fwrite(text, 1, (size_t)size, stdout);
    fflush(stdout);
}

bool stage_look(struct stage *stage)
{
    pass_on(stage);
    if (stage->pid > 0 && waitpid(stage->pid, &stage->status, WNOHANG) == stage->pid)
        stage->pid = 0;
    return look_for_change(stage);
}

const struct sb_address *stage_address(const struct stage *stage, int socktype)
{
    for (unsigned i = 0; i < stage->n_addresses; i++)
        if (stage->addresses[i].socktype == socktype)
            return &stage->addresses[i];
    return NULL;
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

void stage_stop(struct stage *stage)
{
    int *fds[] = { &stage->stdout_fd, &stage->calls_fd, &stage->switches_fd };
    if (stage->pid > 0) {
        int pid_fd = pidfd_open(stage->pid, 0);
        kill(stage->pid, SIGTERM);
        if (pid_fd < 0 || poll(&(struct pollfd){ .fd = pid_fd, .events = POLLIN }, 1, END_MS) <= 0)
            kill(-stage->pid, SIGKILL);
        bury(stage);
        if (pid_fd >= 0)
            close(pid_fd);
    }
    change_finish(&stage->change);
    for (unsigned i = 0; i < 3; i++) {
        if (*fds[i] > 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
}
