#include "renew.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../clock.h"
#include "../text.h"

#define TRIAL_MS 5000

static char path[PATH_MAX];

/* --- the file ----------------------------------------------------------------------------------------------------- */

void renew_begin(void)
{
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    path[length > 0 ? length : 0] = '\0';
}

const char *renew_path(void)
{
    return path;
}

__attribute__((noreturn)) static void try(void)
{
    sigset_t none;
    int null = open("/dev/null", O_RDWR);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    for (int signo = 1; signo < NSIG; signo++)
        signal(signo, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execl(path, "switchboard", "--version", (char *)NULL);
    _exit(126 + (errno == ENOENT));
}

/* Its wait status, or -errno. */
static int wait_for_trial(pid_t pid)
{
    int status = 0;
    struct pollfd ended = { .fd = pidfd_open(pid, 0), .events = POLLIN };
    uint64_t until_ns = clock_in_ms(TRIAL_MS);
    while (ended.fd >= 0 && poll(&ended, 1, clock_left_ms(until_ns)) < 0 && errno == EINTR) {}
    if (!(ended.revents & POLLIN))
        kill(pid, SIGKILL);
    if (ended.fd >= 0)
        close(ended.fd);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    return status;
}

/* What does not even tell its version must not be put in the place of a server that works. */
static bool does_run(char *why, size_t why_size)
{
    sigset_t all, mask;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &mask);
    pid_t pid = fork();
    if (pid == 0)
        try();
    int error = errno;
    sigprocmask(SIG_SETMASK, &mask, NULL);
    int status = pid < 0 ? -1 : wait_for_trial(pid);
    if (pid < 0)
        snprintf(why, why_size, "cannot try %s: %s", path, strerror(error));
    else if (WIFSIGNALED(status))
        snprintf(why, why_size, "%s --version: killed by signal %d (%s)", path, WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) == 127)
        snprintf(why, why_size, "%s: there is no such file", path);
    else if (WEXITSTATUS(status) == 126)
        snprintf(why, why_size, "%s cannot be executed", path);
    else if (status != 0)
        snprintf(why, why_size, "%s --version: exit status %d", path, WEXITSTATUS(status));
    return status == 0;
}

/* --- what it was started with ------------------------------------------------------------------------------------- */

/* /proc/self/cmdline, whose words the program's own parsing has not moved. */
static char *read_command_line(size_t *ret_size)
{
    char piece[4096], *text = NULL;
    size_t size = 0, n;
    FILE *file = fopen("/proc/self/cmdline", "re"), *memory = file ? open_memstream(&text, &size) : NULL;
    while (memory && (n = fread(piece, 1, sizeof piece, file)) > 0)
        fwrite(piece, 1, n, memory);
    bool whole = memory && !ferror(file) && !ferror(memory);
    if (file)
        fclose(file);
    if (memory && fclose(memory) != 0)
        whole = false;
    if (!whole || size == 0) {
        free(text);
        return NULL;
    }
    *ret_size = size;
    return text;
}

/* A list of the words with the words behind it. */
static char **list_words(const char *text, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < size; i++)
        n += text[i] == '\0';
    char **words = malloc((n + 1) * sizeof *words + size);
    if (!words)
        return NULL;
    char *word = memcpy(words + n + 1, text, size);
    for (size_t i = 0; i < n; i++, word += strlen(word) + 1)
        words[i] = word;
    words[n] = NULL;
    return words;
}

char **renew_arguments(char *why, size_t why_size)
{
    size_t size;
    if (!does_run(why, why_size))
        return NULL;
    char *text = read_command_line(&size);
    char **words = text ? list_words(text, size) : NULL;
    free(text);
    if (!words)
        snprintf(why, why_size, "out of memory");
    return words;
}

/* --- the note ----------------------------------------------------------------------------------------------------- */

/* A line of it: "KEY VALUE", where a backslash and a newline are written as text.h reads them. */
static void write_line(FILE *file, const char *key, const char *value)
{
    fprintf(file, "%s ", key);
    for (; *value; value++)
        if (*value == '\n' || *value == '\\')
            fprintf(file, "\\%c", *value == '\n' ? 'n' : '\\');
        else
            fputc(*value, file);
    fputc('\n', file);
}

char *renew_write(const struct wish *wish, const struct renewal *renewal)
{
    char *note;
    size_t size;
    FILE *file = open_memstream(&note, &size);
    if (!file)
        return NULL;
    fprintf(file, "control-fd %d\ncaller-fd %d\naccept %s\n", renewal->control_fd, renewal->caller_fd,
            sb_discipline_name(wish->accept));
    write_line(file, "control", renewal->control_path);
    write_line(file, "strategy", wish->strategy);
    write_line(file, "handler", wish->handler);
    for (char *const *option = wish->options; *option; option++)
        write_line(file, "option", *option);
    bool failed = ferror(file);
    if (fclose(file) != 0 || failed) {
        free(note);
        return NULL;
    }
    return note;
}

static bool take(char *line, struct wish *wish, unsigned *n_options, struct renewal *renewal)
{
    char *value = strchr(line, ' '), *text;
    size_t size;
    if (!value)
        return false;
    *value++ = '\0';
    if (text_unescape(value, &text, &size) < 0)
        return false;
    char *copy = strndup(text, size);
    free(text);
    if (!copy)
        return false;
    if (strcmp(line, "strategy") == 0 && !wish->strategy)
        wish->strategy = copy;
    else if (strcmp(line, "handler") == 0 && !wish->handler)
        wish->handler = copy;
    else if (strcmp(line, "option") == 0 && *n_options < SERVE_ITEMS_MAX)
        wish->options[(*n_options)++] = copy;
    else {
        if (strcmp(line, "accept") == 0)
            wish->accept = sb_discipline_parse(copy);
        else if (strcmp(line, "control-fd") == 0)
            renewal->control_fd = atoi(copy);
        else if (strcmp(line, "caller-fd") == 0)
            renewal->caller_fd = atoi(copy);
        else if (strcmp(line, "control") == 0)
            snprintf(renewal->control_path, sizeof renewal->control_path, "%s", copy);
        free(copy);
    }
    return true;
}

/* What a later version may have more to say of is passed over. */
bool renew_read(const char *note, struct wish **ret_wish, struct renewal *ret_renewal)
{
    struct renewal renewal = { .control_fd = -1, .caller_fd = -1 };
    struct wish *wish = calloc(1, sizeof *wish);
    unsigned n_options = 0;
    char *copy = strdup(note), *rest = copy, *line;
    bool good = wish && copy;
    while (good && (line = strsep(&rest, "\n")) != NULL)
        good = line[0] == '\0' || take(line, wish, &n_options, &renewal);
    free(copy);
    if (!good || !wish->strategy || !wish->handler || renewal.control_fd < 0) {
        wish_free(wish);
        return false;
    }
    *ret_wish = wish;
    *ret_renewal = renewal;
    return true;
}
