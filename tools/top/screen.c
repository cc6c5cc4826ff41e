#include "screen.h"

#include <curses.h>
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "../change.h"

enum { FIRST_ROW = 5, ROWS_BELOW = 1, STRATEGY_SIZE = 64 };
enum color { PLAIN, WAITING, BUSY, ASLEEP, GONE };

struct row {
    const struct snapshot_generation *generation;
    const struct snapshot_worker *worker;
};

struct screen {
    struct view *view;
    double delay_s;
    struct row *rows;           /* of view->now */
    int n_rows, selected, first;    /* first: the one on top */
    bool frozen;
    bool adrift;                /* none of its generations serves at this moment */
    struct change change;
    int stopped[16];            /* processes that we have stopped */
    int n_stopped;
};

static volatile sig_atomic_t ended;

static void on_end(int signo)
{
    (void)signo;
    ended = 1;
}

/* --- rows --------------------------------------------------------------------------------------------------------- */

static int collect(struct screen *screen)
{
    const struct snapshot *now = &screen->view->now;
    int count = 0;
    for (unsigned i = 0; i < now->n_generations; i++)
        count += (int)now->generations[i].n_workers;
    struct row *rows = reallocarray(screen->rows, MAX(count, 1), sizeof *rows);
    if (!rows)
        return -ENOMEM;
    screen->rows = rows;
    screen->n_rows = 0;
    for (unsigned i = 0; i < now->n_generations; i++)
        for (unsigned n = 0; n < now->generations[i].n_workers; n++)
            rows[screen->n_rows++] = (struct row){ &now->generations[i], &now->generations[i].workers[n] };
    screen->selected = MAX(0, MIN(screen->selected, screen->n_rows - 1));
    return 0;
}

static int rows_visible(void)
{
    return MAX(1, LINES - FIRST_ROW - ROWS_BELOW);
}

static void select_row(struct screen *screen, int row)
{
    screen->selected = MAX(0, MIN(row, screen->n_rows - 1));
    screen->first = MIN(screen->first, screen->selected);
    screen->first = MAX(screen->first, screen->selected - rows_visible() + 1);
}

static bool is_stopped(const struct screen *screen, int pid)
{
    for (int i = 0; i < screen->n_stopped; i++)
        if (screen->stopped[i] == pid)
            return true;
    return false;
}

/* --- drawing ------------------------------------------------------------------------------------------------------ */

static enum color color_of(uint32_t state)
{
    switch (state) {
    case SB_STARTING: case SB_WAITING:
        return WAITING;
    case SB_HANDLING: case SB_WRITING: case SB_CLOSING:
        return BUSY;
    case SB_READING: case SB_SLEEPING:
        return ASLEEP;
    case SB_DEAD:
        return GONE;
    default:
        return PLAIN;
    }
}

static void draw_head(const struct screen *screen)
{
    const struct view *view = screen->view;
    const struct snapshot *now = &view->now, *before = &view->before;
    const struct snapshot_generation *serving = &now->generations[0];
    long up = (long)now->seconds;
    unsigned retiring = view_retiring(view);
    attron(A_BOLD);
    mvprintw(0, 0, "%s", serving->handler);
    attroff(A_BOLD);
    printw("  strategy %s   pid %d", serving->strategy, now->pid);
    if (now->name[0])
        printw(" (%s)", now->name);
    printw("   up %ld:%02ld:%02ld%s", up / 3600, up / 60 % 60, up % 60, screen->frozen ? "   frozen" : "");
    mvprintw(1, 0, "requests/s %.0f   errors/s %.0f   left/s %.0f   served %llu",
             view_rate(view, now->totals.served, before->totals.served),
             view_rate(view, now->totals.errors, before->totals.errors),
             view_rate(view, now->totals.left, before->totals.left), (unsigned long long)now->totals.served);
    mvprintw(2, 0, "busy %u of %u", now->totals.busy, now->totals.workers);
    if (now->waiting >= 0)
        printw("   waiting in the kernel %d", now->waiting);
    if (serving->number > 0)
        printw("   generation %u%s", serving->number, screen->adrift ? " has ended" : "");
    if (retiring > 0)
        printw(", %u retiring", retiring);
}

static void draw_worker(const struct screen *screen, int y, const struct row *row, bool selected)
{
    const struct snapshot_worker *worker = row->worker;
    const char *state = is_stopped(screen, worker->pid) ? "stopped" : sb_state_name(worker->state);
    if (selected)
        attron(A_REVERSE);
    mvprintw(y, 0, "%c%3u %6u %7d  ", selected ? '>' : ' ', row->generation->number, worker->worker,
             worker->tid ? worker->tid : worker->pid);
    attron(COLOR_PAIR(color_of(worker->state)));
    printw("%-9s", state);
    attroff(COLOR_PAIR(color_of(worker->state)));
    printw(" %7.1f %6.0f %8llu %6llu  ", worker->seconds, view_worker_rate(screen->view, row->generation, worker),
           (unsigned long long)worker->served, (unsigned long long)worker->errors);
    printw("%.*s", MAX(0, COLS - getcurx(stdscr) - 1), worker->peer);
    if (selected)
        attroff(A_REVERSE);
}

static void draw_workers(struct screen *screen)
{
    int visible = rows_visible();
    attron(A_BOLD);
    mvprintw(FIRST_ROW - 1, 0, " gen worker pid/tid  state     seconds rate/s   served errors  caller");
    attroff(A_BOLD);
    if (screen->n_rows > visible)
        mvprintw(2, MAX(0, COLS - 24), "%6d to %d of %d", screen->first + 1,
                 MIN(screen->first + visible, screen->n_rows), screen->n_rows);
    for (int i = 0; i < visible && screen->first + i < screen->n_rows; i++)
        draw_worker(screen, FIRST_ROW + i, &screen->rows[screen->first + i], screen->first + i == screen->selected);
}

static void draw(struct screen *screen)
{
    erase();
    select_row(screen, screen->selected);
    draw_head(screen);
    attron(A_BOLD);
    mvprintw(3, 0, "%.*s", COLS - 1, screen->change.text);
    attroff(A_BOLD);
    draw_workers(screen);
    mvprintw(LINES - 1, 0, "%.*s", COLS - 1,
             "q quit  s strategy  + - workers  r reload  k kill  z stop  p freeze  arrows");
    refresh();
}

/* --- keys --------------------------------------------------------------------------------------------------------- */

static void say(struct screen *screen, const char *text)
{
    snprintf(screen->change.text, sizeof screen->change.text, "%s", text);
}

static void ask_for(struct screen *screen, const char *const *words)
{
    if (screen->view->now.generations[0].number == 0)
        say(screen, "it was started with --unsupervised, and cannot be changed");
    else
        change_start(&screen->change, words);
}

static void change_workers(struct screen *screen, const char *by)
{
    ask_for(screen, (const char *const[]){ "switch", "--no-wait", "-w", by, screen->view->target, NULL });
}

static void change_strategy(struct screen *screen)
{
    char strategy[STRATEGY_SIZE] = "";
    mvprintw(LINES - 1, 0, "strategy: ");
    clrtoeol();
    timeout(-1);
    echo();
    curs_set(1);
    int r = getnstr(strategy, sizeof strategy - 1);
    noecho();
    curs_set(0);
    if (r == OK && strategy[0] && !ended)
        ask_for(screen, (const char *const[]){ "switch", "--no-wait", "-s", strategy, screen->view->target, NULL });
}

/* The process of a worker; 0, and why is said, where it is the whole generation's. */
static int worker_process(struct screen *screen)
{
    if (screen->n_rows == 0)
        return 0;
    const struct row *row = &screen->rows[screen->selected];
    if (row->worker->pid > 0 && row->worker->pid != row->generation->pid && row->worker->state != SB_DEAD)
        return row->worker->pid;
    say(screen, "this worker is no process of its own: only those of fork and prefork are");
    return 0;
}

static int parent_of(int pid)
{
    char path[32];
    int parent = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    if (fscanf(file, "%*d (%*[^)]) %*c %d", &parent) != 1)
        parent = 0;
    fclose(file);
    return parent;
}

/* The screen may be old, and the number another process's by now. */
static bool is_below(int pid, int ancestor)
{
    for (int i = 0; i < 4 && pid > 1; i++)
        if ((pid = parent_of(pid)) == ancestor)
            return true;
    return false;
}

static bool send_signal(struct screen *screen, int pid, int signo, const char *what)
{
    char text[96];
    int pidfd = pidfd_open(pid, 0), error = pidfd < 0 ? errno : 0;
    if (error == 0 && !is_below(pid, screen->rows[screen->selected].generation->pid))
        error = ESRCH;
    if (error == 0 && pidfd_send_signal(pidfd, signo, NULL, 0) < 0)
        error = errno;
    if (pidfd >= 0)
        close(pidfd);
    if (error != 0)
        snprintf(text, sizeof text, "cannot signal process %d: %s", pid, strerror(error));
    else
        snprintf(text, sizeof text, "process %d %s", pid, what);
    say(screen, text);
    return error == 0;
}

static void kill_worker(struct screen *screen)
{
    int pid = worker_process(screen);
    if (pid > 0)
        send_signal(screen, pid, SIGKILL, "was killed");
}

static void stop_worker(struct screen *screen)
{
    int pid = worker_process(screen);
    if (pid <= 0)
        return;
    if (!is_stopped(screen, pid)) {
        if (screen->n_stopped == sizeof screen->stopped / sizeof *screen->stopped) {
            say(screen, "so many are stopped already: z lets one go on");
            return;
        }
        if (send_signal(screen, pid, SIGSTOP, "is stopped: z lets it go on"))
            screen->stopped[screen->n_stopped++] = pid;
        return;
    }
    for (int i = 0; i < screen->n_stopped; i++)
        if (screen->stopped[i] == pid)
            screen->stopped[i] = screen->stopped[--screen->n_stopped];
    send_signal(screen, pid, SIGCONT, "goes on");
}

/* Whoever we have stopped would stay so. */
static void release_all(const struct screen *screen)
{
    for (int i = 0; i < screen->n_stopped; i++)
        kill(screen->stopped[i], SIGCONT);
}

static bool obey(struct screen *screen, int key)
{
    switch (key) {
    case 'q':
        return false;
    case 's':
        change_strategy(screen);
        break;
    case '+':
        change_workers(screen, "+1");
        break;
    case '-':
        change_workers(screen, "-1");
        break;
    case 'r':
        ask_for(screen, (const char *const[]){ "reload", "--no-wait", screen->view->target, NULL });
        break;
    case 'k':
        kill_worker(screen);
        break;
    case 'z':
        stop_worker(screen);
        break;
    case 'p':
        screen->frozen = !screen->frozen;
        break;
    case KEY_UP:
        select_row(screen, screen->selected - 1);
        break;
    case KEY_DOWN:
        select_row(screen, screen->selected + 1);
        break;
    case KEY_PPAGE:
        select_row(screen, screen->selected - rows_visible());
        break;
    case KEY_NPAGE:
        select_row(screen, screen->selected + rows_visible());
        break;
    default:
        break;
    }
    return true;
}

/* --- its life ----------------------------------------------------------------------------------------------------- */

static void open_terminal(void)
{
    setlocale(LC_ALL, "");
    initscr();
    cbreak();
    noecho();
    keypad(stdscr, true);
    curs_set(0);
    if (!has_colors())
        return;
    start_color();
    use_default_colors();
    init_pair(WAITING, COLOR_GREEN, -1);
    init_pair(BUSY, COLOR_YELLOW, -1);
    init_pair(ASLEEP, COLOR_CYAN, -1);
    init_pair(GONE, COLOR_RED, -1);
}

static int look(struct screen *screen)
{
    int r = view_look(screen->view);
    screen->adrift = r == -EAGAIN;
    return r == -EAGAIN ? 0 : r < 0 ? r : collect(screen);
}

static int run(struct screen *screen)
{
    int r = collect(screen);
    bool goes_on = true;
    while (r == 0 && goes_on && !ended) {
        draw(screen);
        timeout((int)(screen->delay_s * 1000));
        int key = getch();
        goes_on = key == ERR || obey(screen, key);
        change_look(&screen->change);
        if (key == ERR && !screen->frozen)
            r = look(screen);
    }
    return r;
}

int screen_run(struct view *view, double delay_s)
{
    struct screen screen = { .view = view, .delay_s = delay_s };
    for (int i = 0; i < 4; i++)
        sigaction((const int[]){ SIGINT, SIGTERM, SIGHUP, SIGQUIT }[i], &(struct sigaction){ .sa_handler = on_end }, NULL);
    open_terminal();
    int r = run(&screen);
    endwin();
    release_all(&screen);
    change_finish(&screen.change);
    free(screen.rows);
    if (r < 0)
        fprintf(stderr, "switchboard top: %s\n", r == -ENOENT ? "the server has ended" : snapshot_explain(r));
    return r < 0 && r != -ENOENT;
}
