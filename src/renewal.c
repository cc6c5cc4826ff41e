/* The program's file anew: what a supervisor knows is written down; the next program shows in a child that it can read
 * it; execve(2) puts it in the place of this one, and it reads it again. The environment has the number of the memfd,
 * behind "trial:" in that child. Records of fields with a NUL behind each, and an empty field behind the last;
 * descriptors are numbers that stay open:
 *
 *     supervisor VERSION NUMBER PAUSE_MS LEDGER NOTE     the last number that was given to a generation
 *     socket CALL REQUESTED BOUND FILE DEVICE INODE FD       of the generation that serves
 *     member PLACE NUMBER STATE PID CHANNEL BOARD STARTED READY RETIRED QUIT KILL STRATEGY HANDLER */
#include "renewal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "ground/clock.h"
#include "ground/descriptor.h"
#include "scoreboard.h"
#include "trial.h"

#define RECORDS_VERSION 1
#define FIELDS_MAX 16

/* --- writing ------------------------------------------------------------------------------------------------------ */

/* What is to stay, or not, when the program is replaced. */
static bool keep(int fd, bool open)
{
    return fd < 0 || fcntl(fd, F_SETFD, open ? 0 : FD_CLOEXEC) == 0;
}

static int keep_all(const struct sb_supervisor *supervisor, bool open)
{
    const struct sb_held *held;
    bool kept = keep(supervisor->ledger.fd, open);
    TAILQ_FOREACH(held, &supervisor->sockets, link)
        for (unsigned i = 0; i < held->count; i++)
            kept &= keep(held->fds[i], open);
    for (const struct sb_member *member = supervisor->members; member < supervisor->members + SB_GENERATIONS_MAX;
         member++) {
        if (member->state == SB_GENERATION_NONE)
            continue;
        kept &= keep(member->channel, open) && keep(member->board_fd, open);
    }
    return kept ? 0 : -errno;
}

static void write_member(FILE *file, unsigned place, const struct sb_member *member)
{
    fprintf(file, "member%c%u%c%u%c%u%c%d%c%d%c%d%c", '\0', place, '\0', member->number, '\0',
            (unsigned)member->state, '\0', (int)member->pid, '\0', member->channel, '\0', member->board_fd, '\0');
    const int64_t times[] = { member->started_ns, member->ready_ns, member->retired_ns, member->quit_ns,
                              member->kill_ns };
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        fprintf(file, "%" PRId64 "%c", times[i], '\0');
    fprintf(file, "%s%c%s%c%c", member->strategy, '\0', member->handler, '\0', '\0');
}

static void write_records(const struct sb_supervisor *supervisor, const char *note, FILE *file)
{
    const struct sb_held *held;
    fprintf(file, "supervisor%c%d%c%u%c%d%c%d%c%s%c%c", '\0', RECORDS_VERSION, '\0', supervisor->last_number, '\0',
            supervisor->pause_ms, '\0', supervisor->ledger.fd, '\0', note, '\0', '\0');
    TAILQ_FOREACH(held, &supervisor->sockets, link)
        for (unsigned i = 0; i < held->count; i++)
            fprintf(file, "socket%c%u%c%s%c%s%c%d%c%ju%c%ju%c%d%c%c", '\0', held->call, '\0', held->requested, '\0',
                    held->bound, '\0', held->file, '\0', (uintmax_t)held->device, '\0', (uintmax_t)held->inode, '\0',
                    held->fds[i], '\0', '\0');
    for (unsigned i = 0; i < SB_GENERATIONS_MAX; i++)
        if (supervisor->members[i].state != SB_GENERATION_NONE)
            write_member(file, i, &supervisor->members[i]);
}

/* A memfd with the records, or -errno. */
static int make_records(const struct sb_supervisor *supervisor, const char *note)
{
    int fd = memfd_create("switchboard-renewal", 0), copy = fd < 0 ? -1 : dup(fd);
    FILE *file = copy < 0 ? NULL : fdopen(copy, "w");
    int r = file ? 0 : -errno;
    if (file) {
        write_records(supervisor, note, file);
        r = ferror(file) ? -EIO : 0;
        if (fclose(file) != 0 && r == 0)
            r = -errno;
    } else {
        sb_fd_close(&copy);
    }
    if (r < 0)
        sb_fd_close(&fd);
    return r < 0 ? r : fd;
}

static int put_in_environment(const char *prefix, int fd)
{
    char text[32];
    snprintf(text, sizeof text, "%s%d", prefix, fd);
    return setenv(SB_RENEWAL_VARIABLE, text, true) < 0 ? -errno : 0;
}

static bool is_told_to_end(const void *data)
{
    const struct sb_supervisor *supervisor = data;
    return atomic_load(&supervisor->stop) || atomic_load(&supervisor->stop_now);
}

/* Returns only where it fails. Signals are blocked from when it is known whether they ask for the end: who did so later
 * is heard by the next program. */
static int replace(const struct sb_supervisor *supervisor, const char *path, char *const argv[], int records_fd)
{
    sigset_t all, mask;
    int r = put_in_environment("", records_fd);
    if (r < 0)
        return r;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &mask);
    r = -ECANCELED;
    if (!is_told_to_end(supervisor)) {
        execv(path, argv);
        r = -errno;
    }
    sigprocmask(SIG_SETMASK, &mask, NULL);
    return r;
}

/* As sb_supervisor_exec(), but `why` may stay empty. */
static int try_and_replace(const struct sb_supervisor *supervisor, const char *path, char *const argv[],
                           const char *note, char *why, size_t why_size)
{
    if (supervisor->ending)
        return -ECANCELED;
    if (sb_supervisor_changes(supervisor) || !supervisor->serving)
        return -EBUSY;
    int fd = make_records(supervisor, note);
    if (fd < 0)
        return fd;
    fflush(NULL);
    int r = keep_all(supervisor, true);
    if (r == 0)
        r = put_in_environment(SB_RENEWAL_TRIAL, fd);
    if (r == 0)
        r = sb_trial_run(path, argv, is_told_to_end, supervisor, why, why_size);
    if (r == -ENOEXEC && is_told_to_end(supervisor))
        r = -ECANCELED;
    if (r == 0)
        r = replace(supervisor, path, argv, fd);
    keep_all(supervisor, false);
    unsetenv(SB_RENEWAL_VARIABLE);
    close(fd);
    return r;
}

int sb_supervisor_exec(struct sb_supervisor *supervisor, const char *path, char *const argv[], const char *note,
                       char *why, size_t why_size)
{
    why[0] = '\0';
    int r = try_and_replace(supervisor, path, argv, note, why, why_size);
    if (why[0] == '\0' || r == -ECANCELED)
        snprintf(why, why_size, "%s", r == -ECANCELED ? "the server has been told to stop"
                 : r == -EBUSY ? "a change is under way" : strerror(-r));
    return r;
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

static int64_t number(const char *text)
{
    return strtoll(text, NULL, 10);
}

static int read_supervisor(struct sb_supervisor *supervisor, char *const *fields, unsigned n)
{
    if (n != 6 || number(fields[1]) != RECORDS_VERSION)
        return -EPROTO;
    supervisor->last_number = number(fields[2]);
    supervisor->pause_ms = number(fields[3]);
    supervisor->note = strdup(fields[5]);
    return supervisor->note ? sb_ledger_reopen(&supervisor->ledger, number(fields[4])) : -ENOMEM;
}

static int read_socket(struct sb_supervisor *supervisor, char *const *fields, unsigned n)
{
    if (n != 8)
        return -EPROTO;
    int r = sb_held_add(&supervisor->sockets, number(fields[1]), fields[2], fields[3], (int[]){ number(fields[7]) }, 1);
    struct sb_held *held = TAILQ_LAST(&supervisor->sockets, sb_held_list);
    if (r < 0)
        return r;
    held->file = number(fields[4]);
    held->device = strtoull(fields[5], NULL, 10);
    held->inode = strtoull(fields[6], NULL, 10);
    return 0;
}

static int read_member(struct sb_supervisor *supervisor, char *const *fields, unsigned n)
{
    if (n != 14 || number(fields[1]) < 0 || number(fields[1]) >= SB_GENERATIONS_MAX)
        return -EPROTO;
    struct sb_member *member = &supervisor->members[number(fields[1])];
    *member = (struct sb_member){ .number = number(fields[2]), .state = number(fields[3]), .pid = number(fields[4]),
                                  .channel = number(fields[5]), .board_fd = number(fields[6]),
                                  .started_ns = number(fields[7]), .ready_ns = number(fields[8]),
                                  .retired_ns = number(fields[9]), .quit_ns = number(fields[10]),
                                  .kill_ns = number(fields[11]), .strategy = strdup(fields[12]),
                                  .handler = strdup(fields[13]), .pidfd = pidfd_open(number(fields[4]), 0) };
    TAILQ_INIT(&member->sockets);
    if (!member->strategy || !member->handler)
        return -ENOMEM;
    if (member->pidfd < 0)
        return -errno;
    if (member->state == SB_GENERATION_SERVING)
        supervisor->serving = member;
    return sb_board_map(member->board_fd, &member->board);
}

static int read_record(struct sb_supervisor *supervisor, char *const *fields, unsigned n)
{
    if (strcmp(fields[0], "supervisor") == 0)
        return read_supervisor(supervisor, fields, n);
    if (strcmp(fields[0], "socket") == 0)
        return read_socket(supervisor, fields, n);
    return strcmp(fields[0], "member") == 0 ? read_member(supervisor, fields, n) : -EPROTO;
}

/* The note may be empty, and is the one field that may. */
static int read_records(struct sb_supervisor *supervisor, char *text, size_t size)
{
    char *fields[FIELDS_MAX];
    unsigned n = 0;
    int r = 0;
    for (char *field = text; r == 0 && field < text + size; field += strlen(field) + 1) {
        bool is_note = n == 5 && strcmp(fields[0], "supervisor") == 0;
        if (field[0] != '\0' || is_note) {
            if (n == FIELDS_MAX)
                return -EPROTO;
            fields[n++] = field;
        } else if (n > 0) {
            r = read_record(supervisor, fields, n);
            n = 0;
        }
    }
    return r;
}

static int read_all(struct sb_supervisor *supervisor, int fd)
{
    off_t size = lseek(fd, 0, SEEK_END);
    if (size <= 0)
        return size < 0 ? -errno : -EPROTO;
    char *text = malloc(size + 1);
    if (!text)
        return -ENOMEM;
    bool whole = pread(fd, text, size, 0) == size;
    text[size] = '\0';
    int r = whole ? read_records(supervisor, text, size) : -EIO;
    free(text);
    return r == 0 && !supervisor->serving ? -EPROTO : r;
}

bool sb_supervisor_is_renewed(void)
{
    return getenv(SB_RENEWAL_VARIABLE) != NULL;
}

bool sb_supervisor_is_tried(void)
{
    const char *text = getenv(SB_RENEWAL_VARIABLE);
    return text && strncmp(text, SB_RENEWAL_TRIAL, strlen(SB_RENEWAL_TRIAL)) == 0;
}

int sb_supervisor_read(struct sb_supervisor *supervisor)
{
    const char *text = getenv(SB_RENEWAL_VARIABLE);
    int fd = atoi(text + (sb_supervisor_is_tried() ? strlen(SB_RENEWAL_TRIAL) : 0));
    return read_all(supervisor, fd);
}

void sb_supervisor_take_over(struct sb_supervisor *supervisor)
{
    close(atoi(getenv(SB_RENEWAL_VARIABLE)));
    unsetenv(SB_RENEWAL_VARIABLE);
    keep_all(supervisor, false);
}

/* Descriptors stay open. */
void sb_supervisor_unread(struct sb_supervisor *supervisor)
{
    struct sb_held *held;
    TAILQ_FOREACH(held, &supervisor->sockets, link)
        held->count = 0;
    sb_held_finish(&supervisor->sockets);
    for (unsigned i = 0; i < SB_GENERATIONS_MAX; i++) {
        struct sb_member *member = &supervisor->members[i];
        if (member->state == SB_GENERATION_NONE)
            continue;
        member->channel = member->board_fd = -1;
        sb_member_forget(member);
    }
    supervisor->ledger.fd = -1;
    sb_ledger_close(&supervisor->ledger);
    free(supervisor->note);
    supervisor->note = NULL;
    supervisor->serving = NULL;
}

const char *sb_supervisor_note(const struct sb_supervisor *supervisor)
{
    return supervisor->note;
}
