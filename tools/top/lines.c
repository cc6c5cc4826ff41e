#include "lines.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "../program.h"

enum { LINES_BETWEEN_HEADINGS = 20 };

static void print_heading(void)
{
    printf("%-8s  %10s  %8s  %8s  %11s  %7s  %3s  %s\n", "time", "requests/s", "errors/s", "left/s", "busy", "waiting",
           "gen", "strategy");
}

static void print_line(const struct view *view)
{
    const struct snapshot *now = &view->now, *before = &view->before;
    const struct snapshot_generation *serving = &now->generations[0];
    char clock[16], busy[32], waiting[16] = "-";
    time_t seconds = time(NULL);
    strftime(clock, sizeof clock, "%H:%M:%S", localtime(&seconds));
    snprintf(busy, sizeof busy, "%u of %u", now->totals.busy, now->totals.workers);
    if (now->waiting >= 0)
        snprintf(waiting, sizeof waiting, "%d", now->waiting);
    printf("%-8s  %10.0f  %8.0f  %8.0f  %11s  %7s  %3u  %s\n", clock,
           view_rate(view, now->totals.served, before->totals.served),
           view_rate(view, now->totals.errors, before->totals.errors),
           view_rate(view, now->totals.left, before->totals.left), busy, waiting, serving->number, serving->strategy);
}

static void wait_for(double seconds)
{
    struct timespec rest = { .tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (time_t)seconds) * 1e9) };
    while (nanosleep(&rest, &rest) < 0 && errno == EINTR) {}
}

int lines_run(struct view *view, double delay_s, unsigned count)
{
    for (unsigned i = 0; count == 0 || i < count; i++) {
        if (i % LINES_BETWEEN_HEADINGS == 0)
            print_heading();
        print_line(view);
        if (program_flush() < 0)
            return 1;
        if (i + 1 == count)
            return 0;
        int r;
        do {
            wait_for(delay_s);
            r = view_look(view);
        } while (r == -EAGAIN);
        if (r < 0) {
            fprintf(stderr, "switchboard top: %s\n", r == -ENOENT ? "the server has ended" : snapshot_explain(r));
            return r != -ENOENT;
        }
    }
    return 0;
}
