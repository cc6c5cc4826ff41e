/* Locked instructions for each connection and each exchange, and how many of them are on cache lines that two threads
 * write: counted, not estimated, by doing every instruction of a running server in a single step (ptrace(2)).
 *
 *     locked [--strategy=LIST]... [--accept=DISCIPLINE] [--requests=N] [--talk | --short] [-v] [--audit] SWITCHBOARD
 *     locked --self-test
 *
 * A line is one that two threads write when two threads of the server, whether of one process or of two, have written
 * it between the beginning and the end of the count, locked or not. Memory that processes share is known by its file
 * and place there; other memory is each process's own, and a stack its thread's own.
 *
 * The server starts, serves some callers at full speed and is then stepped. The count begins and ends when all its
 * threads sleep in the kernel and no caller is on its way. Between, callers connect at once, so that all workers have
 * work: either connections of one exchange, or exchanges on connections that were there before. Everything that the
 * program does meanwhile is divided by their number, also what its supervisor and its clocks do.
 *
 * What this does not say: the kernel's own instructions are not counted; neither are lines that one thread writes and
 * others read. Memory that one thread frees and another gets is a line that two write. A step takes a thousand times as
 * long as the instruction, but a system call does not: locks are held longer, clocks go faster and wake-ups come sooner
 * than in life, so that futex calls and repeated attempts are those of a crowd. x86-64 only. */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "areas.h"
#include "books.h"
#include "callers.h"
#include "decode.h"
#include "report.h"
#include "sample.h"
#include "trace.h"

enum { SKIPPED = 77, PATIENCE_MS = 300000, CALLERS = 8, WARM_UP_EACH = 8, REQUESTS = 64, STRATEGIES_MAX = 32 };

/* What the table has when nothing else is wanted; talkers: how many can be served at once. */
static const struct design {
    const char *strategy, *accept;
    int talkers;
} designs[] = {
    { "serial", "shared", 1 },
    { "thread", "shared", CALLERS },
    { "pool:4", "shared", 4 },
    { "fork", "shared", CALLERS },
    { "prefork:4", "shared", 4 },
    { "prethread:4", "shared", 4 },
    { "prethread:4", "mutex", 4 },
    { "fiber:epoll", "shared", CALLERS },
    { "fiber:uring", "shared", CALLERS },
    { "prefork:2+thread", "shared", CALLERS },
    { "prefork:2+prethread:2", "shared", 4 },
    { "prethread:2+fiber:epoll", "shared", CALLERS },
    { "prefork:2+fiber:epoll", "shared", CALLERS },
};
enum { N_DESIGNS = sizeof designs / sizeof *designs };

static struct options {
    char *switchboard;
    const char *accept;
    const char *strategies[STRATEGIES_MAX];
    unsigned n_strategies;
    int requests, talkers;
    bool no_short, no_talk, verbose, audit, self_test, sample;
} options = { .requests = REQUESTS };

/* --- waiting ------------------------------------------------------------------------------------------------------ */

struct words {
    int fd;
    size_t length;
    char text[256];
};

static bool has_spoken(void *data)
{
    struct words *words = data;
    ssize_t n = read(words->fd, words->text + words->length, sizeof words->text - 1 - words->length);
    words->length += n > 0 ? (size_t)n : 0;
    words->text[words->length] = '\0';
    return strchr(words->text, '\n') || n == 0;
}

static bool callers_back(void *data)
{
    (void)data;
    return callers_are_back();
}

/* Twice: what was on its way has come. */
static bool is_quiet(void *data)
{
    int *times = data;
    *times = callers_are_back() && trace_quiet() ? *times + 1 : 0;
    return *times == 3;
}

static int run_until_quiet(void)
{
    return trace_run(is_quiet, &(int){ 0 }, PATIENCE_MS);
}

/* --- a server ----------------------------------------------------------------------------------------------------- */

static int port_of(const char *ready)
{
    const char *colon = strstr(ready, "127.0.0.1:");
    return colon ? atoi(colon + strlen("127.0.0.1:")) : 0;
}

static int start_server(const struct design *design, int *ret_port)
{
    char *argv[] = { options.switchboard, "serve", "-q", "-s", (char *)design->strategy, "-a", (char *)design->accept,
                     "upper", "tcp://127.0.0.1:0", NULL };
    struct words words = { 0 };
    int input;
    int r = trace_start(argv, "upper.so", &input, &words.fd);
    if (r < 0)
        return r;
    fcntl(words.fd, F_SETFL, O_NONBLOCK);
    r = trace_run(has_spoken, &words, PATIENCE_MS);
    close(input);
    close(words.fd);
    *ret_port = port_of(words.text);
    return r < 0 ? r : *ret_port > 0 ? 0 : -ENOENT;
}

/* `ret_done`: what all of them did. */
static int errand(enum errand what, int callers, int each, int port, bool (*done)(void *), long *ret_done)
{
    int r = callers_send(what, callers, each, port);
    if (r == 0)
        r = trace_run(done, &(int){ 0 }, PATIENCE_MS);
    if (r < 0)
        trace_end();    /* so that nobody waits for it */
    *ret_done = callers_join();
    return r;
}

static int count_errand(enum errand what, int callers, int port, long *ret_done)
{
    trace_count(true);
    int each = (options.requests + callers - 1) / callers;
    int r = errand(what, callers, each, port, is_quiet, ret_done);
    trace_count(false);
    return r < 0 ? r : *ret_done < (long)callers * each ? -EPROTO : 0;
}

static int measure(const struct design *design, bool talk, long *ret_count)
{
    int port;
    long done;
    int r = start_server(design, &port);
    if (r == 0)
        r = errand(CALL, CALLERS, WARM_UP_EACH, port, callers_back, &done);
    if (r < 0)
        return r;
    trace_step();
    r = run_until_quiet();
    if (r == 0 && talk)
        r = errand(OPEN, design->talkers, 1, port, is_quiet, &done);
    if (r == 0)
        r = count_errand(talk ? TALK : CALL, talk ? design->talkers : CALLERS, port, ret_count);
    return r;
}

static const char *reason(int r)
{
    switch (r) {
    case -EPERM:
        return "nobody may trace here";
    case -ETIMEDOUT:
        return "it took too long";
    case -EPROTO:
        return "an answer was missing or wrong";
    case -ENOENT:
        return "it did not say where it listens";
    case -ESRCH:
        return "it ended";
    default:
        return strerror(-r);
    }
}

static int measure_and_report(const struct design *design, bool talk)
{
    char name[80];
    long count;
    bool plain = strcmp(design->accept, "shared") == 0;
    snprintf(name, sizeof name, "%s%s%s", design->strategy, plain ? "" : " -a ", plain ? "" : design->accept);
    int r = measure(design, talk, &count);
    struct counts counts = trace_counts();
    if (r == 0) {
        report_row(name, talk ? "exchange" : "connection", count, &counts);
        if (options.verbose)
            report_lines(stdout, count);
    } else {
        fprintf(stderr, "locked: %s: cannot count: %s\n", name, reason(r));
    }
    trace_end();
    callers_send(CLOSE, CALLERS, 1, 0);
    callers_join();
    return r < 0 || counts.unknown || counts.misjudged ? -1 : 0;
}

/* --- the table ---------------------------------------------------------------------------------------------------- */

static struct design design_of(const char *strategy)
{
    struct design design = { strategy, "shared", 4 };
    for (int i = 0; i < N_DESIGNS; i++)
        if (strcmp(designs[i].strategy, strategy) == 0)
            design.talkers = designs[i].talkers;
    return design;
}

static int measure_both(struct design design)
{
    int r = 0;
    if (options.accept)
        design.accept = options.accept;
    if (options.talkers)
        design.talkers = options.talkers;
    if (!options.no_short)
        r |= measure_and_report(&design, false);
    if (!options.no_talk)
        r |= measure_and_report(&design, true);
    return r;
}

static int measure_all(void)
{
    int r = 0;
    report_head();
    for (unsigned i = 0; i < options.n_strategies; i++)
        r |= measure_both(design_of(options.strategies[i]));
    for (unsigned i = 0; options.n_strategies == 0 && i < N_DESIGNS; i++)
        r |= measure_both(designs[i]);
    return r == 0 ? 0 : 1;
}

/* --- the self-test ------------------------------------------------------------------------------------------------ */

static int run_sample(void)
{
    char *argv[] = { "/proc/self/exe", "--sample", NULL };
    struct words words = { 0 };
    int input;
    int r = trace_start(argv, NULL, &input, &words.fd);
    if (r < 0)
        return r;
    fcntl(words.fd, F_SETFL, O_NONBLOCK);
    r = trace_run(has_spoken, &words, PATIENCE_MS);
    trace_step();
    if (r == 0)
        r = run_until_quiet();
    trace_count(true);
    if (r == 0 && write(input, "", 1) != 1)
        r = -errno;
    if (r == 0)
        r = run_until_quiet();
    close(input);
    close(words.fd);
    return r;
}

static bool is_exact(const char *what, uint64_t counted, uint64_t known)
{
    printf("%-50s %6lu counted, %6lu done%s\n", what, (unsigned long)counted, (unsigned long)known,
           counted == known ? "" : ": WRONG");
    return counted == known;
}

static int self_test(void)
{
    int r = run_sample();
    struct counts counts = trace_counts();
    struct totals totals = books_totals();
    bool good = r == 0;
    if (r < 0) {
        printf("self-test: cannot count: %s\n", reason(r));
    } else {
        good &= is_exact("locked", counts.locked, SAMPLE_WORKERS * (OWN_LOCKED + MET_LOCKED + SHARED_LOCKED));
        good &= is_exact("locked on lines that two threads write", totals.met_locked,
                         SAMPLE_THREADS * MET_LOCKED + SAMPLE_WORKERS * SHARED_LOCKED);
        good &= is_exact("plain writes on such lines", totals.met_plain, SAMPLE_THREADS * MET_TIMES * sample_forms());
        good &= is_exact("not understood", counts.unknown, 0);
    }
    if (!good && r == 0)
        report_lines(stdout, 1);
    trace_end();
    return good ? 0 : r == -EPERM ? SKIPPED : 1;
}

/* --- the command line --------------------------------------------------------------------------------------------- */

enum { SHORT = 256, TALK_ONLY, TALKERS, AUDIT, SELF_TEST, SAMPLE };

static const struct argp_option option_table[] = {
    { "strategy", 's', "LIST", 0, "this strategy, not the whole table; may be given again", 0 },
    { "accept", 'a', "DISCIPLINE", 0, "how workers share the listener", 0 },
    { "requests", 'n', "N", 0, "connections or exchanges to count (default 64)", 0 },
    { "short", SHORT, NULL, 0, "only connections of one exchange", 0 },
    { "talk", TALK_ONLY, NULL, 0, "only exchanges on connections that are there", 0 },
    { "talkers", TALKERS, "N", 0, "connections at once for --talk; no more than the strategy serves at once", 0 },
    { "verbose", 'v', NULL, 0, "show the lines that two threads write, and what writes them", 0 },
    { "audit", AUDIT, NULL, 0, "check that what counts as read only does not change; for serial and fiber", 0 },
    { "self-test", SELF_TEST, NULL, 0, "count a program of which it is known what it writes", 0 },
    { "sample", SAMPLE, NULL, OPTION_HIDDEN, "be that program", 0 },
    { 0 },
};

static int number(struct argp_state *state, const char *text, int max)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (end == text || *end != '\0' || value < 1 || value > max)
        argp_error(state, "'%s' is not a number from 1 to %d", text, max);
    return (int)value;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    switch (key) {
    case 's':
        if (options.n_strategies == STRATEGIES_MAX)
            argp_error(state, "at most %d strategies", STRATEGIES_MAX);
        options.strategies[options.n_strategies++] = text;
        return 0;
    case 'a':
        options.accept = text;
        return 0;
    case 'n':
        options.requests = number(state, text, 100000);
        return 0;
    case SHORT:
        options.no_talk = true;
        return 0;
    case TALK_ONLY:
        options.no_short = true;
        return 0;
    case TALKERS:
        options.talkers = number(state, text, CALLERS_MAX);
        return 0;
    case 'v':
        options.verbose = true;
        return 0;
    case AUDIT:
        options.audit = true;
        return 0;
    case SELF_TEST:
        options.self_test = true;
        return 0;
    case SAMPLE:
        options.sample = true;
        return 0;
    case ARGP_KEY_ARG:
        if (options.switchboard)
            argp_error(state, "one program only");
        options.switchboard = text;
        return 0;
    case ARGP_KEY_END:
        if (!options.switchboard && !options.self_test && !options.sample)
            argp_error(state, "the program is missing: BUILD/tools/switchboard");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int main(int argc, char **argv)
{
    static const struct argp argp = { option_table, parse, "SWITCHBOARD", "Counts locked instructions that meet.",
                                      NULL, NULL, NULL };
    argp_err_exit_status = 2;
    argp_parse(&argp, argc, argv, 0, NULL, NULL);
    if (options.sample)
        return sample_main();
    if (decoder_open() < 0 || books_open() < 0) {
        fprintf(stderr, "locked: cannot start: no memory, or capstone without x86\n");
        return 1;
    }
    trace_audit(options.audit);
    int status = options.self_test ? self_test() : measure_all();
    decoder_close();
    books_close();
    objects_free();
    return status;
}
