#include "supervise.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../clock.h"
#include "../program.h"
#include "../signals.h"
#include "control.h"
#include "renew.h"
#include "service.h"
#include "serving.h"
#include "wish.h"

static struct sb_supervisor *supervisor;
static struct serve_arguments *given;       /* on the command line */
static struct control *control;
static struct wish *serving, *next;         /* what the server is; and what it is to be next, unless that is the same */
static struct control_caller *asking;       /* for the change under way; NULL: nobody, or a signal */
static int unheard;                         /* why the ready line could not be written: -errno */
static sig_atomic_t volatile wants_reload, wants_renewal, wants_end;   /* a signal does */
static sig_atomic_t volatile more_workers;  /* asked for by signals, less those that are to go */

static int woken_fd = -1;                   /* an eventfd, by which signal handlers wake who polls */

/* --- a generation ------------------------------------------------------------------------------------------------- */

/* It leaves by exit(3), as a command does: its output is looked at. */
static int serve(struct sb_generation *generation, void *wish)
{
    program_fork();
    control_leave(control);
    close(woken_fd);
    woken_fd = -1;
    wish_apply(wish ? wish : serving, given);
    exit(serving_run(given, generation));
}

/* --- what a service manager is told ------------------------------------------------------------------------------- */

enum { STATE_MS = 5000, PATIENCE_MS = 30000, PAUSE_US = 20000 };

static uint64_t next_state_ns, next_alive_ns;

static void describe(char *text, size_t size)
{
    struct sb_ledger ledger;
    text[0] = '\0';
    if (!service_is_watched() || sb_ledger_read(getpid(), &ledger) < 0)
        return;
    struct sb_totals totals = sb_ledger_totals(&ledger);
    snprintf(text, size, "%s under %s: %llu requests, %u workers, %u busy", sb_supervisor_handler_name(supervisor),
             sb_supervisor_strategy(supervisor), (unsigned long long)totals.served, totals.workers, totals.busy);
}

static void tell_ready(void)
{
    char text[256];
    describe(text, sizeof text);
    service_tell_ready(text);
}

/* Neither stopped nor dead (proc_pid_stat(5)). */
static bool does_run(pid_t pid)
{
    char path[32], state = 'X';
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file && fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
        state = 'X';
    if (file)
        fclose(file);
    return !strchr("TtZX", state);
}

/* A generation answers that has a worker waiting for callers, or has served one since it was last asked. */
static bool does_answer(void)
{
    static uint64_t served;
    const struct sb_scoreboard *board;
    if (!sb_supervisor_strategy(supervisor))
        return true;                    /* the next one will be started */
    if (sb_scoreboard_open(getpid(), &board) < 0)
        return false;
    struct sb_totals totals = sb_scoreboard_totals(board);
    bool answers = totals.busy < totals.workers || totals.served != served;
    served = totals.served;
    answers = answers && does_run(board->pid);
    sb_scoreboard_close(board);
    return answers;
}

/* In how long it is to look again, at most *timeout_ms. */
static void look_after_service(int *timeout_ms)
{
    char text[256];
    if (!service_is_watched() || !serving)
        return;
    int watchdog_ms = service_watchdog_ms();
    if (clock_left_ms(next_state_ns) == 0 && sb_supervisor_strategy(supervisor)) {
        describe(text, sizeof text);
        service_tell_state(text);
        next_state_ns = clock_in_ms(STATE_MS);
    }
    if (watchdog_ms > 0 && clock_left_ms(next_alive_ns) == 0) {
        if (does_answer())
            service_tell_alive();
        next_alive_ns = clock_in_ms(watchdog_ms);
    }
    clock_wait_until(next_state_ns, timeout_ms);
    if (watchdog_ms > 0)
        clock_wait_until(next_alive_ns, timeout_ms);
}

/* --- what it says ------------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void say(enum sb_log_level level, const char *format, ...)
{
    va_list values;
    if (level > given->config.log_level)
        return;
    va_start(values, format);
    flockfile(stderr);
    fprintf(stderr, "switchboard: ");
    vfprintf(stderr, format, values);
    fprintf(stderr, "\n");
    funlockfile(stderr);
    va_end(values);
}

/* Nobody would know of a server that cannot say that it is ready. */
static void announce(void)
{
    const char *address;
    for (unsigned i = 0; (address = sb_supervisor_address(supervisor, i)) != NULL; i++)
        serving_print_ready(address, sb_supervisor_handler_name(supervisor), sb_supervisor_strategy(supervisor));
    unheard = program_flush();
    if (unheard < 0)
        sb_supervisor_stop(supervisor);
}

static void settle(const struct sb_change_report *report)
{
    char text[512];
    snprintf(text, sizeof text, "generation %u serves: handler=%s strategy=%s accept=%s (ready after %.3f s, changed "
             "after %.3f s, %u request%s carried over)", report->number, sb_supervisor_handler_name(supervisor),
             sb_supervisor_strategy(supervisor), sb_discipline_name(serving->accept), (double)report->ready_ns / 1e9,
             (double)report->took_ns / 1e9, report->carried, report->carried == 1 ? "" : "s");
    say(SB_LOG_INFO, "%s", text);
    control_answer(asking, CONTROL_DONE, text);
    if (report->former > 0)
        control_wait_for(asking, report->former);
    else
        control_end(asking);
    asking = NULL;
}

static void refuse(const struct sb_change_report *report)
{
    say(SB_LOG_WARNING, "nothing has changed: generation %u: %s", report->number, report->why);
    control_refuse(asking, report->why);
    asking = NULL;
}

static void bid_farewell(const struct sb_change_report *report)
{
    char text[128];
    snprintf(text, sizeof text, "generation %u has ended, %.3f s after it was relieved", report->number,
             (double)report->took_ns / 1e9);
    say(SB_LOG_INFO, "%s", text);
    control_answer_waiting(control, report->number, text);
}

/* What the first one has said when it cannot begin is enough. */
static void mourn(const struct sb_change_report *report)
{
    if (report->pause_ns > 0)
        say(SB_LOG_ERROR, "generation %u (pid %d) %s; the next one starts in %.1f s", report->number, (int)report->pid,
            report->why, (double)report->pause_ns / 1e9);
    else if (sb_supervisor_address(supervisor, 0) || !report->has_told)
        say(SB_LOG_ERROR, "generation %u (pid %d) %s", report->number, (int)report->pid, report->why);
}

static void cannot(struct control_caller *caller, const char *why)
{
    if (!caller)
        say(SB_LOG_WARNING, "nothing has changed: %s", why);
    control_refuse(caller, why);
}

static void keep_wish(struct wish *wish)
{
    if (wish == serving || !wish)
        return;
    wish_free(serving);
    serving = wish;
    next = NULL;
}

static void drop_wish(const struct wish *wish)
{
    if (wish != next)
        return;
    wish_free(next);
    next = NULL;
}

static void hear(void *data, const struct sb_change_report *report)
{
    (void)data;
    switch (report->change) {
    case SB_CHANGE_READY:
        announce();
        tell_ready();
        return;
    case SB_CHANGE_DONE:
        keep_wish(report->wish);
        settle(report);
        tell_ready();
        return;
    case SB_CHANGE_REFUSED:
        drop_wish(report->wish);
        refuse(report);
        if (sb_supervisor_strategy(supervisor))
            tell_ready();
        return;
    case SB_CHANGE_ENDED:
        bid_farewell(report);
        return;
    case SB_CHANGE_DIED:
        mourn(report);
        if (report->wish == next)
            keep_wish(report->wish);        /* it had begun to be what serves */
        if (!sb_supervisor_is_busy(supervisor) && asking) {
            cannot(asking, report->why);
            asking = NULL;
        }
        return;
    case SB_CHANGE_LEFT:
        say(SB_LOG_WARNING, "%s", report->why);
        return;
    }
}

/* --- signals ------------------------------------------------------------------------------------------------------ */

static void wake(void)
{
    int saved = errno;
    eventfd_write(woken_fd, 1);     /* what fails is full, and so readable; or this is no supervisor any more */
    errno = saved;
}

static void stop(int signo)
{
    wants_end = 1;
    if (signo == SIGQUIT)
        sb_supervisor_stop_now(supervisor);
    else
        sb_supervisor_stop(supervisor);
}

/* A terminal that is closed sends SIGHUP, too. */
static void reload(int signo, siginfo_t *info, void *context)
{
    (void)signo;
    (void)context;
    if (info->si_code == SI_KERNEL)
        stop(signo);
    else
        wants_reload = 1;
    wake();
}

/* A terminal sends these to who is in the background, where the default is to stop, until SIGCONT. */
static void count_worker(int signo, siginfo_t *info, void *context)
{
    (void)context;
    if (info->si_code == SI_KERNEL)
        raise(SIGSTOP);
    else
        more_workers += signo == SIGTTIN ? 1 : -1;
    wake();
}

static void ask_for_renewal(int signo, siginfo_t *info, void *context)
{
    (void)signo;
    (void)info;
    (void)context;
    wants_renewal = 1;
    wake();
}

/* Before there is anything to be left behind. They come through once there is a supervisor that they can be told to. */
static void catch_signals(void)
{
    signals_end_by(SIGINT, stop);
    signals_end_by(SIGTERM, stop);
    signals_end_by(SIGQUIT, stop);
    signals_obey(SIGHUP, reload);
    signals_obey(SIGTTIN, count_worker);
    signals_obey(SIGTTOU, count_worker);
    signals_obey(SIGUSR2, ask_for_renewal);
    signals_survive(SIGPIPE);
    signal(SIGCHLD, SIG_DFL);
}

/* --- what it is asked for ----------------------------------------------------------------------------------------- */

static void begin_change(struct control_caller *caller, struct wish *wish)
{
    int r = sb_supervisor_change(supervisor, wish);
    if (r == 0) {
        next = wish == serving ? NULL : wish;
        asking = caller;
        service_tell_change();
        return;
    }
    if (wish != serving)
        wish_free(wish);
    cannot(caller, r == -E2BIG ? "too many generations still have requests (serve --retire-timeout ends them)"
                   : r == -ECANCELED ? "the server has been told to stop" : strerror(-r));
}

static void change(struct control_caller *caller, const struct wish_change *wanted)
{
    char why[256];
    struct wish *wish = wish_next(serving, wanted, why, sizeof why);
    if (wish)
        begin_change(caller, wish);
    else
        cannot(caller, why);
}

static const char *value_of(const char *word, const char *key)
{
    size_t length = strlen(key);
    return strncmp(word, key, length) == 0 && word[length] == '=' ? word + length + 1 : NULL;
}

static bool read_change(const char *const *words, struct wish_change *ret_change)
{
    struct wish_change wanted = { .strategy = NULL };
    unsigned n_options = 0;
    for (; *words; words++) {
        const char *option = value_of(*words, "option");
        const struct { const char *value, **place; } texts[] = {
            { value_of(*words, "strategy"), &wanted.strategy }, { value_of(*words, "accept"), &wanted.accept },
            { value_of(*words, "workers"), &wanted.workers }, { value_of(*words, "handler"), &wanted.handler },
        };
        bool known = option && strchr(option, '=') && n_options < SERVE_ITEMS_MAX;
        if (known)
            wanted.options[n_options++] = option;
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
            if (texts[i].value) {
                *texts[i].place = texts[i].value;
                known = true;
            }
        if (!known)
            return false;
    }
    *ret_change = wanted;
    return true;
}

/* Those that ask for changes. */
static void hold_signals(bool held)
{
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < 4; i++)
        sigaddset(&set, (const int[]){ SIGHUP, SIGUSR2, SIGTTIN, SIGTTOU }[i]);
    sigprocmask(held ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

/* Returns only where it fails. */
static void execute(struct control_caller *caller, char **arguments)
{
    char why[PATH_MAX + 512];
    struct renewal renewal;
    snprintf(renewal.control_path, sizeof renewal.control_path, "%s", control_path(control));
    int r = control_hand_down(control, caller, true, &renewal.control_fd, &renewal.caller_fd);
    if (r == 0)
        r = service_hand_down(true);
    char *note = r == 0 ? renew_write(serving, &renewal) : NULL;
    snprintf(why, sizeof why, "%s", strerror(r < 0 ? -r : ENOMEM));
    hold_signals(true);             /* what comes now is the next program's to obey */
    if (note)
        sb_supervisor_exec(supervisor, renew_path(), arguments, note, why, sizeof why);
    control_hand_down(control, caller, false, &renewal.control_fd, &renewal.caller_fd);
    service_hand_down(false);
    hold_signals(false);
    free(note);
    cannot(caller, why);
}

/* The program's file anew: it goes on as this one, and then, as any change, has who serves follow. */
static void renew(struct control_caller *caller)
{
    char **arguments = renew_arguments();
    if (arguments)
        execute(caller, arguments);
    else
        cannot(caller, "out of memory");
    free(arguments);
}

static void obey(struct control_caller *caller, const char *const *words)
{
    struct wish_change wanted;
    if (strcmp(words[0], "reload") == 0 && !words[1])
        begin_change(caller, serving);
    else if (strcmp(words[0], "reload") == 0 && strcmp(words[1], "program") == 0 && !words[2])
        renew(caller);
    else if (strcmp(words[0], "stop") == 0 && !words[1]) {
        control_wait_for(caller, 0);        /* until the connection ends, with us */
        stop(SIGTERM);
    } else if (strcmp(words[0], "switch") == 0 && read_change(words + 1, &wanted))
        change(caller, &wanted);
    else
        cannot(caller, "that is no request");
}

static void obey_signals(void)
{
    char workers[16];
    int wanted = more_workers;
    if (wanted != 0) {
        more_workers -= wanted;
        snprintf(workers, sizeof workers, "%+d", wanted);
        change(NULL, &(struct wish_change){ .workers = workers });
    } else if (wants_renewal) {
        wants_renewal = 0;
        renew(NULL);
    } else if (wants_reload) {
        wants_reload = 0;
        begin_change(NULL, serving);
    }
}

/* One after the other. */
static void take_up(void)
{
    const char *const *words;
    struct control_caller *caller;
    if (!serving || !sb_supervisor_address(supervisor, 0))
        return;
    if (!sb_supervisor_is_busy(supervisor))
        obey_signals();
    while (!sb_supervisor_is_busy(supervisor) && (caller = control_next(control, &words)) != NULL)
        obey(caller, words);
}

/* --- its life ----------------------------------------------------------------------------------------------------- */

static int create(void)
{
    struct sb_supervision supervision = SB_SUPERVISION_DEFAULTS;
    supervision.serve = serve;
    supervision.report = hear;
    supervision.name = given->name;
    supervision.control = control ? control_path(control) : NULL;
    supervision.retire_timeout_ms = given->retire_timeout_ms;
    supervision.drain_timeout_ms = given->config.drain_timeout_ms;
    supervision.restart = given->restart;
    return sb_supervisor_create(&supervision, &supervisor);
}

/* The first generation; or, where the program before this one has left some, the first that is of this program. */
static int begin(void)
{
    if (!sb_supervisor_note(supervisor))
        return sb_supervisor_change(supervisor, serving);
    struct control_caller *caller = asking;
    asking = NULL;
    begin_change(caller, serving);
    return 0;
}

static int run(int *ret_status)
{
    bool told_end = false;
    int r = begin();
    if (r < 0)
        return r;
    while ((r = sb_supervisor_turn(supervisor, ret_status)) == 1) {
        struct pollfd fds[32] = { { .fd = sb_supervisor_fileno(supervisor), .events = POLLIN },
                                  { .fd = woken_fd, .events = POLLIN } };
        eventfd_t count;
        int timeout_ms = -1;
        eventfd_read(woken_fd, &count);
        control_look(control);
        take_up();
        if (wants_end && !told_end)
            service_tell_stop();
        told_end = wants_end;
        look_after_service(&timeout_ms);
        unsigned n = 2 + control_poll(control, fds + 2, 30, &timeout_ms);
        if (poll(fds, n, timeout_ms) < 0 && errno != EINTR)
            usleep(PAUSE_US);               /* it may work again */
    }
    return r;
}

/* The server's end is its generation's. The core that matters is that one's, too. */
static int end_as(int status)
{
    if (!WIFSIGNALED(status))
        return WEXITSTATUS(status);
    setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
    signals_leave(WTERMSIG(status));
}

static bool is_taken(const char *name)
{
    struct sb_ledger ledger;
    if (!name || sb_ledger_find(name, &ledger) < 0)
        return false;
    fprintf(stderr, "switchboard: --name=%s: the server with pid %d has that name; stop that one or choose another\n",
            name, (int)ledger.pid);
    return true;
}

/* As the program before this one has handed it down. */
static int take_over(void)
{
    struct renewal renewal;
    int r = supervisor ? 0 : create();
    wish_free(serving);
    serving = NULL;
    if (r == 0)
        r = renew_read(sb_supervisor_note(supervisor), &serving, &renewal);
    if (r < 0)
        return r;
    return control_take_over(renewal.control_fd, renewal.caller_fd, renewal.control_path, &control, &asking);
}

static int begin_anew(void)
{
    if (is_taken(given->name) || control_open(&control) < 0)
        exit(1);
    serving = wish_new(given);
    return serving ? create() : -ENOMEM;
}

/* Who serves would end with a program that cannot take over. */
static int prepare(void)
{
    const char *renewal = getenv(SB_RENEWAL_VARIABLE);
    bool is_renewed = renewal, is_tried = renewal && strncmp(renewal, SB_RENEWAL_TRIAL, strlen(SB_RENEWAL_TRIAL)) == 0;
    uint64_t until_ns = clock_in_ms(is_tried ? 0 : PATIENCE_MS);
    int r;
    do {
        if (woken_fd < 0)
            woken_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        r = woken_fd < 0 ? -errno : is_renewed ? take_over() : begin_anew();
    } while (r < 0 && r != -EPROTO && is_renewed && clock_left_ms(until_ns) > 0 && usleep(PAUSE_US) == 0);
    return r;
}

int supervise(struct serve_arguments *arguments)
{
    int status = 0;
    given = arguments;
    renew_begin();
    signals_block();
    catch_signals();
    int r = prepare();
    if (r == 0) {
        signals_unblock();              /* those too that came while the program was renewed */
        r = run(&status);
    }
    if (r == -EPROTO)
        say(SB_LOG_ERROR, "this program cannot go on as the one before it: it is another version; stop the server and "
            "start it again");
    else if (r < 0)
        say(SB_LOG_ERROR, "cannot start the process that serves: %s (limits: ulimit -u, ulimit -n, ulimit -v)",
            strerror(-r));
    struct sb_supervisor *ended = supervisor;
    if (control) {
        control_answer_waiting(control, 0, "the server has ended");
        control_close(control);
    }
    wish_free(next);
    wish_free(serving);
    sb_supervisor_destroy(ended);
    return r < 0 || unheard < 0 ? 1 : end_as(status);
}
