/* The supervisor: generations come, are ready or refused, follow one another, and end. What it promises:
 * switchboard/generation.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/param.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "ground/clock.h"
#include "ground/descriptor.h"
#include "ground/inherited.h"
#include "renewal.h"
#include "trial.h"

#define MS_NS INT64_C(1000000)

enum {
    PROBATION_MS = 1000,        /* who dies sooner after it was ready has never been a successor */
    LOOK_MS = 2,                /* how often, whether the one before still accepts */
    KILL_MS = 1000,             /* what a generation has left once it was told to end at once */
    FIRST_PAUSE_MS = 100, LAST_PAUSE_MS = 10000,
    PATIENCE_MS = 30000,        /* of a program that is to take over */
};

/* --- its life ----------------------------------------------------------------------------------------------------- */

static bool is_there(const struct sb_member *member)
{
    return member->state != SB_GENERATION_NONE;
}

static int watch(const struct sb_supervisor *supervisor, int fd)
{
    struct epoll_event event = { .events = EPOLLIN };
    return epoll_ctl(supervisor->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int watch_member(const struct sb_supervisor *supervisor, const struct sb_member *member)
{
    int r = watch(supervisor, member->pidfd);
    return r < 0 || member->channel < 0 ? r : watch(supervisor, member->channel);
}

/* What a process that has been forked has no business with. */
static void leave(struct sb_supervisor *supervisor)
{
    for (unsigned i = 0; i < SB_GENERATIONS_MAX; i++)
        if (is_there(&supervisor->members[i]))
            sb_member_forget(&supervisor->members[i]);
    sb_fd_close(&supervisor->epoll_fd);
    sb_fd_close(&supervisor->timer_fd);
    sb_wakeup_finish(&supervisor->wakeup);
    sb_ledger_close(&supervisor->ledger);
}

/* Those that the program before this one has started. */
static int read_heritage(struct sb_supervisor *supervisor)
{
    int r = sb_supervisor_read(supervisor);
    for (unsigned i = 0; r == 0 && i < SB_GENERATIONS_MAX; i++)
        if (is_there(&supervisor->members[i]))
            r = watch_member(supervisor, &supervisor->members[i]);
    return r;
}

static int init(struct sb_supervisor *supervisor)
{
    supervisor->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    supervisor->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (supervisor->epoll_fd < 0 || supervisor->timer_fd < 0)
        return -errno;
    int r = sb_wakeup_init(&supervisor->wakeup, 0);
    if (r == 0)
        r = watch(supervisor, supervisor->wakeup.fd);
    if (r == 0)
        r = watch(supervisor, supervisor->timer_fd);
    if (r < 0)
        return r;
    return sb_supervisor_is_renewed() ? read_heritage(supervisor)
           : sb_ledger_open(&supervisor->ledger, supervisor->config.name, supervisor->config.control);
}

static bool fits(const char *text, size_t size)
{
    return !text || strlen(text) < size;
}

/* Who serves would end with a program that cannot take over, so what is not to be had is tried again for a while. After
 * a failure nothing is left that could be killed or removed. */
static int init_patiently(struct sb_supervisor *supervisor)
{
    bool is_renewed = sb_supervisor_is_renewed();
    int64_t deadline_ns = sb_deadline_ns(is_renewed && !sb_supervisor_is_tried() ? PATIENCE_MS : 0);
    int r;
    while ((r = init(supervisor)) < 0) {
        if (is_renewed)
            sb_supervisor_unread(supervisor);
        leave(supervisor);
        if (r == -EPROTO || sb_now_ns() >= deadline_ns)
            break;
        sb_nap(SB_TIRED_MS);
    }
    return r;
}

int sb_supervisor_create(const struct sb_supervision *supervision, struct sb_supervisor **ret_supervisor)
{
    if (!supervision->serve || !fits(supervision->name, sizeof ((struct sb_ledger *)0)->name) ||
        !fits(supervision->control, sizeof ((struct sb_ledger *)0)->control))
        return -EINVAL;
    struct sb_supervisor *supervisor = calloc(1, sizeof *supervisor);
    if (!supervisor)
        return -ENOMEM;
    supervisor->config = *supervision;
    supervisor->epoll_fd = supervisor->timer_fd = supervisor->wakeup.fd = supervisor->ledger.fd = -1;
    supervisor->restart_ns = NEVER;
    TAILQ_INIT(&supervisor->sockets);
    int r = init_patiently(supervisor);
    if (r < 0) {
        sb_supervisor_destroy(supervisor);
        return r;
    }
    if (sb_supervisor_is_tried())
        _exit(SB_TRIAL_PASSED);
    if (sb_supervisor_is_renewed())
        sb_supervisor_take_over(supervisor);
    *ret_supervisor = supervisor;
    return 0;
}

static void tell_left(void *data, const char *path, const char *why)
{
    const struct sb_supervisor *supervisor = data;
    char text[512];
    snprintf(text, sizeof text, "cannot remove the socket %s: %s", path, why);
    if (supervisor->config.report)
        supervisor->config.report(supervisor->config.data,
                                  &(struct sb_change_report){ .change = SB_CHANGE_LEFT, .why = text });
}

static void end_at_once(struct sb_member *member)
{
    sb_member_signal(member, SIGKILL);
    while (!sb_member_reap(member))
        sb_nap(1);
    sb_member_forget(member);
}

static void kill_all(struct sb_supervisor *supervisor)
{
    for (unsigned i = 0; i < SB_GENERATIONS_MAX; i++)
        if (is_there(&supervisor->members[i]))
            end_at_once(&supervisor->members[i]);
}

void sb_supervisor_destroy(struct sb_supervisor *supervisor)
{
    if (!supervisor)
        return;
    kill_all(supervisor);
    sb_held_unlink(&supervisor->sockets, NULL, tell_left, supervisor);
    sb_held_finish(&supervisor->sockets);
    leave(supervisor);
    free(supervisor->note);
    free(supervisor);
}

/* --- what is known ------------------------------------------------------------------------------------------------ */

bool sb_supervisor_is_busy(const struct sb_supervisor *supervisor)
{
    return sb_supervisor_changes(supervisor);
}

int sb_supervisor_fileno(const struct sb_supervisor *supervisor)
{
    return supervisor->epoll_fd;
}

const char *sb_supervisor_address(const struct sb_supervisor *supervisor, unsigned n)
{
    const struct sb_held *held;
    TAILQ_FOREACH(held, &supervisor->sockets, link)
        if (n-- == 0)
            return held->bound;
    return NULL;
}

const char *sb_supervisor_strategy(const struct sb_supervisor *supervisor)
{
    return supervisor->serving ? supervisor->serving->strategy : NULL;
}

const char *sb_supervisor_handler_name(const struct sb_supervisor *supervisor)
{
    return supervisor->serving ? supervisor->serving->handler : NULL;
}

static void write_down(struct sb_supervisor *supervisor, const struct sb_member *member)
{
    const struct sb_ledger_entry entry = { .number = member->number, .state = member->state, .pid = member->pid,
                                           .board_fd = member->board_fd, .since_ns = sb_now_ns() };
    sb_ledger_write(&supervisor->ledger, member - supervisor->members, &entry);
}

static void enter(struct sb_supervisor *supervisor, struct sb_member *member, enum sb_generation_state state)
{
    member->state = state;
    write_down(supervisor, member);
}

static void report(const struct sb_supervisor *supervisor, const struct sb_member *member,
                   struct sb_change_report report)
{
    report.number = member->number;
    report.pid = member->pid;
    report.wish = member->wish;
    if (supervisor->config.report)
        supervisor->config.report(supervisor->config.data, &report);
}

static int64_t age_ns(const struct sb_member *member)
{
    return sb_now_ns() - member->started_ns;
}

/* --- the next one ------------------------------------------------------------------------------------------------- */

/* Signals that came meanwhile were the supervisor's to obey; a handler of its that runs here tells the generation. */
__attribute__((noreturn)) static void be_generation(struct sb_supervisor *supervisor, struct sb_member *member,
                                                    struct sb_generation *generation, const sigset_t *mask)
{
    void *wish = member->wish;
    supervisor->generation = generation;
    leave(supervisor);
    sigprocmask(SIG_SETMASK, mask, NULL);
    int status = supervisor->config.serve(generation, wish);
    fflush(NULL);
    _exit(status);
}

static struct sb_member *find_room(struct sb_supervisor *supervisor)
{
    for (unsigned i = 0; i < SB_GENERATIONS_MAX; i++)
        if (!is_there(&supervisor->members[i]))
            return &supervisor->members[i];
    return NULL;
}

int sb_supervisor_change(struct sb_supervisor *supervisor, void *wish)
{
    struct sb_generation generation;
    sigset_t mask;
    struct sb_member *member = find_room(supervisor);
    if (supervisor->ending)
        return -ECANCELED;
    if (sb_supervisor_is_busy(supervisor))
        return -EBUSY;
    if (!member)
        return -E2BIG;
    member->number = supervisor->last_number + 1;
    member->wish = wish;
    int r = sb_member_start(member, &supervisor->sockets, &generation, &mask);
    if (r < 0)
        return r;
    if (member->pid == 0)
        be_generation(supervisor, member, &generation, &mask);
    r = watch_member(supervisor, member);
    if (r == 0)
        r = sb_member_let_begin(member);
    if (r < 0) {
        end_at_once(member);                    /* nobody would be told of it */
        return r;
    }
    supervisor->last_number++;
    supervisor->next = member;
    supervisor->restart_ns = NEVER;
    write_down(supervisor, member);
    return 0;
}

/* A descriptor that was given by number stays under that number, also for a program that is run anew. */
static void keep_given(const struct sb_supervisor *supervisor)
{
    const struct sb_held *held;
    TAILQ_FOREACH(held, &supervisor->sockets, link) {
        if (!sb_held_is_foreign(held))
            continue;
        close(held->fds[0]);
        held->fds[0] = atoi(held->requested + strlen(SB_INHERITED_PREFIX));
        fcntl(held->fds[0], F_SETFD, FD_CLOEXEC);
    }
}

/* The next one serves, and the one before it is asked to retire. */
static void promote(struct sb_supervisor *supervisor)
{
    struct sb_member *former = supervisor->serving, *serving = supervisor->next;
    sb_held_replace(&supervisor->sockets, &serving->sockets, tell_left, supervisor);
    sb_held_spread(&supervisor->sockets);
    supervisor->serving = serving;
    supervisor->wish = serving->wish;
    supervisor->next = NULL;
    enter(supervisor, serving, SB_GENERATION_SERVING);
    if (!former)
        return;
    supervisor->former = former;
    former->retired_ns = sb_now_ns();
    former->quit_ns = sb_deadline_ns(supervisor->config.retire_timeout_ms);
    enter(supervisor, former, SB_GENERATION_RETIRING);
    sb_member_signal(former, SIGUSR1);
}

/* The first needs no trial: nobody else serves. */
static void become_ready(struct sb_supervisor *supervisor, struct sb_member *member)
{
    bool first = TAILQ_EMPTY(&supervisor->sockets);
    enter(supervisor, member, SB_GENERATION_READY);
    if (supervisor->serving)
        return;
    promote(supervisor);
    if (first)
        keep_given(supervisor);
    report(supervisor, member, (struct sb_change_report){ .change = first ? SB_CHANGE_READY : SB_CHANGE_DONE,
           .ready_ns = member->ready_ns - member->started_ns, .took_ns = age_ns(member) });
}

/* Its workers that end are busy too, but with themselves. */
static unsigned count_requests(const struct sb_member *member)
{
    unsigned count = 0;
    for (unsigned i = 0; i < member->board->slot_count; i++) {
        uint32_t state = __atomic_load_n(&sb_scoreboard_slot(member->board, i)->state, __ATOMIC_RELAXED);
        count += state >= SB_READING && state <= SB_SLEEPING;
    }
    return count;
}

/* The one before accepts nobody any more. */
static void conclude(struct sb_supervisor *supervisor)
{
    const struct sb_member *former = supervisor->former, *serving = supervisor->serving;
    supervisor->former = NULL;
    report(supervisor, serving, (struct sb_change_report){ .change = SB_CHANGE_DONE, .former = former->number,
           .carried = count_requests(former), .ready_ns = serving->ready_ns - serving->started_ns,
           .took_ns = age_ns(serving) });
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

static void end_all(struct sb_supervisor *supervisor, int signo)
{
    supervisor->ending = true;
    supervisor->restart_ns = NEVER;
    sb_held_unlink(&supervisor->sockets, NULL, NULL, NULL);     /* who calls now shall not wait for nobody */
    sb_held_close(&supervisor->sockets);
    for (unsigned i = 0; i < SB_GENERATIONS_MAX; i++) {
        struct sb_member *member = &supervisor->members[i];
        if (!is_there(member) || member->told_end == SIGQUIT || member->told_end == signo)
            continue;
        member->told_end = signo;
        sb_member_signal(member, signo);
        if (member != supervisor->serving && signo != SIGQUIT)
            member->quit_ns = MIN(member->quit_ns, sb_deadline_ns(supervisor->config.drain_timeout_ms));
        else if (member != supervisor->serving)
            member->kill_ns = MIN(member->kill_ns, sb_deadline_ns(KILL_MS));
    }
}

/* What the next one was asked for does not happen. */
static void refuse(struct sb_supervisor *supervisor, const struct sb_member *member)
{
    char end[128], text[192];
    const char *why = member->why;
    sb_member_describe_end(member, end, sizeof end);
    if (member->state == SB_GENERATION_READY && !member->rejected) {
        snprintf(text, sizeof text, "it %s %.3f s after it was ready", end,
                 (double)(sb_now_ns() - member->ready_ns) / 1e9);
        why = text;
    } else if (!why) {
        snprintf(text, sizeof text, "it %s before it was ready", end);
        why = text;
    }
    if (supervisor->ending)
        why = "the server has been told to stop";
    report(supervisor, member, (struct sb_change_report){ .change = SB_CHANGE_REFUSED, .why = why,
                                                          .took_ns = age_ns(member) });
}

static void schedule_restart(struct sb_supervisor *supervisor, const struct sb_member *died)
{
    bool early = age_ns(died) < LAST_PAUSE_MS * MS_NS;
    int pause_ms = early && supervisor->pause_ms > 0 ? MIN(2 * supervisor->pause_ms, LAST_PAUSE_MS) : FIRST_PAUSE_MS;
    supervisor->pause_ms = pause_ms;
    supervisor->restart_ns = sb_deadline_ns(pause_ms);
}

static void report_death(const struct sb_supervisor *supervisor, const struct sb_member *died, int pause_ms)
{
    char end[256];
    bool has_told = died->why && !died->rejected;
    sb_member_describe_end(died, end, sizeof end);
    report(supervisor, died, (struct sb_change_report){ .change = SB_CHANGE_DIED, .why = has_told ? died->why : end,
                                                        .has_told = has_told, .pause_ns = pause_ms * MS_NS });
}

/* The one that served, or was to, is gone, and it had no successor. */
static void lose(struct sb_supervisor *supervisor, const struct sb_member *died)
{
    bool restarts = supervisor->config.restart && !supervisor->ending && !TAILQ_EMPTY(&supervisor->sockets);
    if (died->state == SB_GENERATION_SERVING || TAILQ_EMPTY(&supervisor->sockets))
        supervisor->status = died->status;
    if (restarts)
        schedule_restart(supervisor, died);
    if (!supervisor->ending)
        report_death(supervisor, died, restarts ? supervisor->pause_ms : 0);
    if (!restarts && !supervisor->ending)
        end_all(supervisor, SIGTERM);
}

static void lose_next(struct sb_supervisor *supervisor, struct sb_member *died)
{
    supervisor->next = NULL;
    if (!TAILQ_EMPTY(&supervisor->sockets) || supervisor->ending)
        refuse(supervisor, died);
    sb_held_unlink(&died->sockets, &supervisor->sockets, tell_left, supervisor);
    sb_held_close(&died->sockets);
    sb_held_spread(&supervisor->sockets);
    if (!supervisor->serving)
        lose(supervisor, died);
}

/* Without it the next one need not wait any longer; and the change that made it serve is over, if it was not yet. */
static void lose_serving(struct sb_supervisor *supervisor, const struct sb_member *died)
{
    struct sb_member *next = supervisor->next;
    supervisor->serving = supervisor->former = NULL;
    supervisor->status = died->status;
    if (!next || supervisor->ending) {
        lose(supervisor, died);
        return;
    }
    report_death(supervisor, died, 0);
    if (next->state == SB_GENERATION_READY) {
        promote(supervisor);
        report(supervisor, next, (struct sb_change_report){ .change = SB_CHANGE_DONE,
               .ready_ns = next->ready_ns - next->started_ns, .took_ns = age_ns(next) });
    }
}

static void lose_retired(struct sb_supervisor *supervisor, const struct sb_member *died)
{
    if (supervisor->former == died)
        conclude(supervisor);
    report(supervisor, died, (struct sb_change_report){ .change = SB_CHANGE_ENDED,
                                                        .took_ns = sb_now_ns() - died->retired_ns });
}

static void bury(struct sb_supervisor *supervisor, struct sb_member *died)
{
    if (died == supervisor->serving)
        lose_serving(supervisor, died);
    else if (died == supervisor->next)
        lose_next(supervisor, died);
    else
        lose_retired(supervisor, died);
    sb_ledger_settle(&supervisor->ledger, died - supervisor->members, died->board);
    sb_member_forget(died);
}

/* --- its turn ----------------------------------------------------------------------------------------------------- */

static void obey(struct sb_supervisor *supervisor)
{
    sb_wakeup_clear(&supervisor->wakeup);
    bool stop_now = atomic_exchange(&supervisor->stop_now, false), stop = atomic_exchange(&supervisor->stop, false);
    if (stop_now || stop)
        end_all(supervisor, stop_now ? SIGQUIT : SIGTERM);
}

/* What is asked for while the next one is tried comes after it. */
static void reload(struct sb_supervisor *supervisor)
{
    if (supervisor->ending || sb_supervisor_is_busy(supervisor) || !supervisor->serving ||
        !atomic_exchange(&supervisor->reload, false))
        return;
    int r = sb_supervisor_change(supervisor, supervisor->wish);
    if (r < 0)
        report(supervisor, supervisor->serving, (struct sb_change_report){ .change = SB_CHANGE_REFUSED,
               .why = r == -E2BIG ? "too many generations still have requests" : strerror(-r) });
}

/* A process that cannot be had is tried again, like one that has died early. */
static void restart(struct sb_supervisor *supervisor)
{
    if (supervisor->restart_ns > sb_now_ns())
        return;
    if (sb_supervisor_change(supervisor, supervisor->wish) < 0)
        supervisor->restart_ns = sb_deadline_ns(supervisor->pause_ms);
}

static void hurry(struct sb_member *member)
{
    int64_t now_ns = sb_now_ns();
    if (member->kill_ns <= now_ns) {
        member->kill_ns = NEVER;
        sb_member_signal(member, SIGKILL);
    } else if (member->quit_ns <= now_ns) {
        member->quit_ns = NEVER;
        member->kill_ns = sb_deadline_ns(KILL_MS);
        sb_member_signal(member, SIGQUIT);
    }
}

static int64_t trusted_ns(const struct sb_member *member)
{
    return member && member->state == SB_GENERATION_READY ? member->ready_ns + PROBATION_MS * MS_NS : NEVER;
}

/* When there is something to do though nobody tells. */
static int64_t next_ns(const struct sb_supervisor *supervisor)
{
    int64_t until_ns = supervisor->restart_ns;
    if (!supervisor->ending)
        until_ns = MIN(until_ns, trusted_ns(supervisor->next));
    if (supervisor->former)
        until_ns = MIN(until_ns, sb_deadline_ns(LOOK_MS));
    for (unsigned i = 0; i < SB_GENERATIONS_MAX; i++)
        if (is_there(&supervisor->members[i]))
            until_ns = MIN(until_ns, MIN(supervisor->members[i].quit_ns, supervisor->members[i].kill_ns));
    return until_ns;
}

static void set_timer(const struct sb_supervisor *supervisor)
{
    int64_t until_ns = next_ns(supervisor);
    uint64_t count;
    struct itimerspec when = { .it_value = { .tv_sec = 0 } };
    while (read(supervisor->timer_fd, &count, sizeof count) < 0 && errno == EINTR) {}
    if (until_ns != NEVER)
        when.it_value = (struct timespec){ until_ns / 1000000000, until_ns % 1000000000 };
    if (timerfd_settime(supervisor->timer_fd, TFD_TIMER_ABSTIME, &when, NULL) < 0) {
        sb_nap(SB_TIRED_MS);
        sb_wakeup_set(&supervisor->wakeup);     /* another turn, for nobody else would tell */
    }
}

static bool look_at(struct sb_supervisor *supervisor, struct sb_member *member)
{
    bool ended = sb_member_reap(member);
    if (sb_member_hear(member))
        become_ready(supervisor, member);
    if (ended)
        bury(supervisor, member);
    else
        hurry(member);
    return !ended;
}

int sb_supervisor_turn(struct sb_supervisor *supervisor, int *ret_status)
{
    unsigned left = 0;
    obey(supervisor);
    for (unsigned i = 0; i < SB_GENERATIONS_MAX; i++)
        if (is_there(&supervisor->members[i]))
            left += look_at(supervisor, &supervisor->members[i]);
    if (trusted_ns(supervisor->next) <= sb_now_ns() && !supervisor->ending)
        promote(supervisor);
    if (supervisor->former && !sb_scoreboard_accepts(supervisor->former->board))
        conclude(supervisor);
    reload(supervisor);
    restart(supervisor);
    set_timer(supervisor);
    if (left > 0 || sb_supervisor_is_busy(supervisor) || supervisor->restart_ns != NEVER)
        return 1;
    *ret_status = supervisor->status;
    return 0;
}

int sb_supervisor_run(struct sb_supervisor *supervisor, void *wish, int *ret_status)
{
    struct pollfd changes = { .fd = supervisor->epoll_fd, .events = POLLIN };
    int r = sb_supervisor_change(supervisor, wish);
    if (r < 0)
        return r;
    while ((r = sb_supervisor_turn(supervisor, ret_status)) == 1)
        if (poll(&changes, 1, -1) < 0 && errno != EINTR)
            sb_nap(SB_TIRED_MS);
    return r;
}

/* --- from signal handlers ----------------------------------------------------------------------------------------- */

/* A program's handler may run in a generation that has not put in its own yet. */
static void ask(struct sb_supervisor *supervisor, atomic_bool *what, enum sb_asked asked)
{
    if (supervisor->generation) {
        supervisor->generation->asked = MAX(supervisor->generation->asked, (sig_atomic_t)asked);
        return;
    }
    atomic_store(what, true);
    sb_wakeup_set(&supervisor->wakeup);
}

void sb_supervisor_reload(struct sb_supervisor *supervisor)
{
    ask(supervisor, &supervisor->reload, SB_ASKED_NOTHING);
}

void sb_supervisor_stop(struct sb_supervisor *supervisor)
{
    ask(supervisor, &supervisor->stop, SB_ASKED_STOP);
}

void sb_supervisor_stop_now(struct sb_supervisor *supervisor)
{
    ask(supervisor, &supervisor->stop_now, SB_ASKED_STOP_NOW);
}
