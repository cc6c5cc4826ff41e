/* What `switchboard compare` says about its numbers: judgements, rankings, CSV, the table, and the guess beside it. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../../tools/compare/output.h"
#include "../../tools/compare/scenario.h"
#include "../../tools/compare/table.h"

TestSuite(comparison, .timeout = 600);

enum { ROUNDS = 6, CONTESTANTS = 4 };

/* What the rounds add; the last contestant has them the other way round. */
static const int offsets[ROUNDS] = { 0, 1, 2, 2, 3, 4 };

static const struct scenario scenario = {
    .name = "short", .title = "Short connections", .lesson = "A lesson.",
    .primary = THROUGHPUT, .shown = { THROUGHPUT, CPU_US, P99_US, ERRORS, SYSCALLS, METRICS },
};

static double values[CONTESTANTS][ROUNDS][METRICS];
static struct contestant contestants[CONTESTANTS];
static struct match match;
static struct comparison comparison;
static char *text;      /* what was printed last */
static size_t size;

static void enter(unsigned index, const char *name, double throughput, double cpu_us)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned metric = 0; metric < METRICS; metric++)
            values[index][round][metric] = NAN;
        values[index][round][THROUGHPUT] = throughput + offsets[index == CONTESTANTS - 1 ? ROUNDS - 1 - round : round];
        values[index][round][CPU_US] = cpu_us + offsets[round] / 4.0;
        values[index][round][P99_US] = 1e6 / throughput;
        values[index][round][ERRORS] = 0;
    }
    contestants[index] = (struct contestant){ .name = name, .rounds = ROUNDS, .values = values[index] };
    snprintf(contestants[index].strategy, sizeof contestants[index].strategy, "%s", name);
}

static void begin(void)
{
    enter(0, "serial", 24000, 20);
    enter(1, "prefork:4", 36000, 20);
    enter(2, "fork", 6000, 160);
    enter(3, "pool:4", 24002, 30);
    match = (struct match){
        .scenario = &scenario, .handler = "upper",
        .family = "tcp", .workers = 4, .clients = 16, .seconds = 1, .rounds = ROUNDS,
        .contestants = contestants, .n_contestants = CONTESTANTS,
    };
    comparison = (struct comparison){ .matches = &match, .n_matches = 1 };
    CPU_SET(0, &comparison.machine.server_cpus);
    comparison.machine.load_cpu = 1;
}

/* --- judgements --------------------------------------------------------------------------------------------------- */

static void expect_judgement(unsigned index, enum metric metric, const char *wanted)
{
    cr_expect_str_eq(contestant_judge(&match, &contestants[index], metric), wanted, "%s by %s",
                     contestants[index].name, metric_infos[metric].name);
}

Test(comparison, words_tell_what_is_faster_and_what_is_less)
{
    begin();
    expect_judgement(0, THROUGHPUT, "baseline");
    expect_judgement(1, THROUGHPUT, "faster");
    expect_judgement(2, THROUGHPUT, "slower");
    expect_judgement(3, THROUGHPUT, "too close to call");
    expect_judgement(1, P99_US, "faster");
    expect_judgement(2, P99_US, "slower");
    expect_judgement(1, CPU_US, "equal");
    expect_judgement(2, CPU_US, "more");
    expect_judgement(2, ERRORS, "equal");
    expect_judgement(2, SYSCALLS, "");
    contestants[1].rounds = 3;
    expect_judgement(1, THROUGHPUT, "too few rounds");
    contestants[1].rounds = 0;
    expect_judgement(1, THROUGHPUT, "");
}

Test(comparison, the_ratio_is_of_the_medians)
{
    double ratio;
    begin();
    cr_expect_eq(contestant_compare(&match, &contestants[2], THROUGHPUT, &ratio), LESS);
    cr_expect_float_eq(ratio, 6002.0 / 24002, 1e-12);
    cr_expect_eq(contestant_compare(&match, &contestants[2], ERRORS, &ratio), EQUAL);
    cr_expect(isnan(ratio), "the baseline's median is 0");
    for (unsigned round = 0; round < ROUNDS; round++)
        values[2][round][ERRORS] = 3;
    cr_expect_eq(contestant_compare(&match, &contestants[2], ERRORS, &ratio), MORE);
    cr_expect(isnan(ratio), "the baseline's median is still 0");
    cr_expect_eq(contestant_compare(&match, &contestants[2], SYSCALLS, &ratio), TOO_FEW);
    cr_expect(isnan(ratio));
    match.baseline = -1;
    cr_expect_eq(contestant_compare(&match, &contestants[2], THROUGHPUT, &ratio), TOO_FEW);
    cr_expect(isnan(ratio));
    expect_judgement(2, THROUGHPUT, "");
}

static void expect_order(enum metric metric, unsigned n, const unsigned *wanted)
{
    unsigned order[CONTESTANTS];
    cr_assert_eq(match_rank(&match, metric, order), n);
    cr_expect_arr_eq(order, wanted, n * sizeof *order, "by %s: %u %u ...", metric_infos[metric].name, order[0],
                     order[1]);
}

Test(comparison, the_best_is_ranked_first_and_what_is_unknown_not_at_all)
{
    begin();
    expect_order(THROUGHPUT, 4, (unsigned[]){ 1, 3, 0, 2 });
    expect_order(P99_US, 4, (unsigned[]){ 1, 3, 0, 2 });
    expect_order(CPU_US, 4, (unsigned[]){ 0, 1, 3, 2 });
    expect_order(SYSCALLS, 0, (unsigned[]){ 0 });
    contestants[1].rounds = 0;
    values[2][4][THROUGHPUT] = NAN;
    expect_order(THROUGHPUT, 3, (unsigned[]){ 3, 0, 2 });
}

Test(comparison, every_metric_is_described)
{
    for (int metric = 0; metric < METRICS; metric++) {
        const struct metric_info *info = &metric_infos[metric];
        cr_assert(info->name && info->title && info->column && info->unit && info->meaning, "metric %d", metric);
    }
}

Test(comparison, cpus_are_listed_in_ranges)
{
    char list[32], small[4];
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    cr_expect_str_eq(machine_cpu_list(&cpus, list, sizeof list), "");
    CPU_SET(1023, &cpus);
    cr_expect_str_eq(machine_cpu_list(&cpus, list, sizeof list), "1023");
    for (int cpu = 0; cpu < 6; cpu++)
        if (cpu != 1)
            CPU_SET(cpu, &cpus);
    cr_expect_str_eq(machine_cpu_list(&cpus, list, sizeof list), "0,2-5,1023");
    cr_expect_str_eq(machine_cpu_list(&cpus, small, sizeof small), "0,2");
}

Test(comparison, server_and_load_do_not_share_a_cpu_where_there_are_two)
{
    struct machine machine;
    machine_look(&machine);
    cpu_set_t all = machine.server_cpus;
    cr_expect_eq(machine.load_cpu >= 0, machine.cpus > 1);
    if (machine.load_cpu >= 0) {
        cr_expect(!CPU_ISSET(machine.load_cpu, &machine.server_cpus));
        CPU_SET(machine.load_cpu, &all);
    }
    cr_expect(CPU_EQUAL(&all, &machine.all_cpus));
    cr_expect_eq((unsigned)CPU_COUNT(&machine.all_cpus), machine.cpus);
    cr_expect(strncmp(machine.kernel, "Linux ", 6) == 0 && machine.memory_gib > 0 && machine.descriptors > 0);
}

/* --- CSV ---------------------------------------------------------------------------------------------------------- */

static void write_csv(void)
{
    FILE *memory = open_memstream(&text, &size);
    cr_assert_eq(csv_write(&comparison, memory), 0);
    fclose(memory);
}

static unsigned count_of(const char *phrase)
{
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, phrase)) != NULL; at += strlen(phrase))
        count++;
    return count;
}

#define SAYS(phrase) cr_expect(strstr(text, phrase), "'%s' is missing in:\n%s", phrase, text)
#define SAYS_NOT(phrase) cr_expect(!strstr(text, phrase), "'%s' is in:\n%s", phrase, text)

Test(comparison, csv_has_a_row_for_each_round)
{
    begin();
    strcpy(contestants[1].discipline, "mutex");
    values[0][0][CPU_US] = 1234567.125;
    values[0][1][CPU_US] = 1.0 / 3;
    values[0][2][CPU_US] = -1e-9;
    values[0][3][CPU_US] = INFINITY;
    write_csv();
    SAYS("schema_version,scenario,handler,family,clients,workers,strategy,discipline,round,throughput,cpu_us,user_us,");
    SAYS(",total_cpu_s,control_cpu_s,skipped\r\n1,short,upper,tcp,16,4,serial,,1,24000,1234567.125,,,");
    SAYS("\r\n1,short,upper,tcp,16,4,serial,,2,24001,0.333333,,,");
    SAYS("\r\n1,short,upper,tcp,16,4,serial,,3,24002,0,,,");
    SAYS("\r\n1,short,upper,tcp,16,4,serial,,4,24002,,,,");
    SAYS("\r\n1,short,upper,tcp,16,4,prefork:4,mutex,5,36003,20.75,,,");
    cr_expect_eq(count_of("\r\n"), 1 + CONTESTANTS * ROUNDS);
    cr_expect_eq(count_of(","), (1 + CONTESTANTS * ROUNDS) * (9 + METRICS), "a row has other fields than the head");
    free(text);
}

Test(comparison, csv_quotes_what_needs_it)
{
    begin();
    contestants[2].rounds = 0;
    strcpy(contestants[2].strategy, "./my,own.so");
    strcpy(contestants[2].why, "it said \"no\",\nand left");
    match.handler = "a\rb";
    write_csv();
    SAYS("\r\n1,short,\"a\rb\",tcp,16,4,\"./my,own.so\",,0,,,");
    SAYS(",,,\"it said \"\"no\"\",\nand left\"\r\n");
    free(text);
}

Test(comparison, csv_says_when_it_cannot_be_written)
{
    begin();
    FILE *full = fopen("/dev/full", "we");
    cr_assert_not_null(full);
    cr_expect_eq(csv_write(&comparison, full), -ENOSPC);
    fclose(full);
}

/* --- the table ---------------------------------------------------------------------------------------------------- */

static void print_table(void)
{
    FILE *memory = open_memstream(&text, &size);
    table_print(&comparison, &match, memory);
    fclose(memory);
}

static void expect_lines_up_to(size_t width)
{
    for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
        cr_expect(strcspn(line, "\n") <= width, "a line has more than %zu columns:\n%s", width, text);
}

Test(comparison, the_table_has_a_row_for_each_contestant_in_the_order_of_the_command_line)
{
    begin();
    strcpy(match.verdict, "prefork:4 answered most.\nfork is dear: 161 µs.");
    print_table();
    SAYS("Short connections\nA lesson.\nupper over tcp, 16 clients in a closed loop, 6 rounds of 1 s; server on CPU 0, "
         "load on CPU 1\n\n");
    SAYS("\nstrategy   requests/s       quartiles         serial    /req   us  errors\n"
         "serial         24,002  24,001..24,003       baseline    20.5   42       0\n"
         "prefork:4      36,002  36,001..36,003  1.50 x faster    20.5   28       0\n"
         "fork            6,002    6,001..6,003  4.00 x slower   160.5  167       0\n"
         "pool:4         24,004  24,003..24,005      too close    30.5   42       0\n");
    SAYS("level 0.05.\n\n"
         "prefork:4 answered most.\nfork is dear: 161 us.\n\n");
    SAYS_NOT("calls");
    SAYS_NOT("\033");
    expect_lines_up_to(100);
    free(text);
}

Test(comparison, the_table_says_what_was_skipped_given_up_or_held_back_by_the_load)
{
    begin();
    contestants[1].bottleneck = true;
    contestants[2].rounds = 0;
    strcpy(contestants[2].why, "this strategy needs a reason that is so long that it cannot stand in one line beside "
           "the name,\nand\tmay have \033[31mcolours of its own");
    contestants[3].rounds = 2;
    strcpy(contestants[3].why, "it did not start again.");
    print_table();
    SAYS("\nprefork:4*  ");
    SAYS("\n* The load generator was the limit");
    SAYS("\nfork        skipped: this strategy needs ");
    SAYS("\n            ");
    SAYS("name, and may have ?[31mcolours of its own\n");
    SAYS("\npool:4! ");
    SAYS("  too few  ");
    SAYS("\n! pool:4: it did not start again.\n");
    expect_lines_up_to(100);
    free(text);
}

Test(comparison, a_match_of_which_nothing_has_run_is_printed)
{
    begin();
    for (unsigned i = 0; i < CONTESTANTS; i++)
        contestants[i].rounds = 0;
    match.baseline = -1;
    print_table();
    SAYS("\nserial     not run\n");
    SAYS_NOT("beside");
    free(text);
}

Test(comparison, columns_line_up_by_what_characters_take_on_a_terminal)
{
    begin();
    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        cr_skip_test("there is no locale C.UTF-8");
    contestants[1].name = "./電話.so";
    contestants[2].name = "fork\xff\n";
    print_table();
    SAYS("\n                                              beside  CPU µs  p99\n"
         "strategy   requests/s       quartiles         serial    /req   µs  errors\n"
         "serial         24,002  24,001..24,003       baseline    20.5   42       0\n"
         "./電話.so      36,002  36,001..36,003  1.50 x faster    20.5   28       0\n"
         "fork??          6,002    6,001..6,003  4.00 x slower   160.5  167       0\n");
    free(text);
}

/* What the table says on a terminal of so many columns; each of its lines ends with \r\n. */
static void print_on_terminal(unsigned short columns)
{
    static char screen[16384];
    struct winsize window = { .ws_row = 25, .ws_col = columns };
    int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    cr_assert(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0);
    cr_assert_eq(ioctl(terminal, TIOCSWINSZ, &window), 0);
    FILE *out = fdopen(open(ptsname(terminal), O_RDWR | O_NOCTTY | O_CLOEXEC), "w");
    cr_assert_not_null(out);
    table_print(&comparison, &match, out);
    fputs("END", out);
    fflush(out);
    text = screen;
    screen[0] = '\0';
    for (size = 0; !strstr(screen, "END"); screen[size] = '\0') {
        ssize_t length = read(terminal, screen + size, sizeof screen - 1 - size);
        cr_assert(length > 0);
        size += length;
    }
    fclose(out);
    close(terminal);
}

Test(comparison, a_terminal_has_colours_unless_the_user_does_not_want_them)
{
    begin();
    setenv("TERM", "xterm", 1);
    unsetenv("NO_COLOR");
    print_on_terminal(100);
    SAYS("\033[32m1.50 x faster\033[0m");
    SAYS("\033[31m4.00 x slower\033[0m");
    SAYS("\033[2m    too close\033[0m");
    setenv("NO_COLOR", "1", 1);
    print_on_terminal(100);
    SAYS_NOT("\033");
    SAYS("1.50 x faster");
    unsetenv("NO_COLOR");
    setenv("TERM", "dumb", 1);
    print_on_terminal(100);
    SAYS_NOT("\033");
}

Test(comparison, columns_without_a_place_follow_in_a_second_table)
{
    begin();
    setenv("TERM", "dumb", 1);
    print_on_terminal(61);
    cr_expect_eq(count_of("\nstrategy "), 2);
    cr_expect_eq(count_of("\nfork "), 2);
    SAYS("CPU us\r\n");
    SAYS("\nserial      42       0\r\n");
    for (char *line = strtok(text, "\r\n"); line; line = strtok(NULL, "\r\n"))
        cr_expect(strlen(line) <= 60, "%s", line);
}

Test(comparison, no_line_fills_a_terminal)
{
    static const char head[] = "strategy   requests/s       quartiles         serial    /req   us  errors";
    begin();
    setenv("TERM", "dumb", 1);
    print_on_terminal(strlen(head) + 1);
    SAYS(head);
    print_on_terminal(strlen(head));
    SAYS_NOT(head);
    cr_expect_eq(count_of("\nstrategy "), 2);
}

/* --- the guess ---------------------------------------------------------------------------------------------------- */

static const volatile bool go_on = false, stopped = true;

/* What comes of these lines; what it says is in text. */
static int guess(const char *lines, const volatile bool *stop)
{
    FILE *in = fmemopen((char *)lines, strlen(lines), "r"), *out = open_memstream(&text, &size);
    int r = predict_ask(&match, in, out, stop);
    fclose(in);
    fclose(out);
    return r;
}

static void expect_guess(unsigned n, const char *const *names)
{
    cr_assert_eq(match.n_prediction, n, "%u names: %s", match.n_prediction, text);
    for (unsigned i = 0; i < n; i++) {
        cr_expect_str_eq(match.prediction[i], names[i]);
        free(match.prediction[i]);
    }
    free(match.prediction);
    free(text);
}

Test(comparison, a_guess_is_made_of_numbers_and_names)
{
    begin();
    cr_expect_eq(guess("2, pool:4 1,3\n", &go_on), 0);
    SAYS("Short connections: what is your guess?\n");
    SAYS("\n   1  serial\n   2  prefork:4\n   3  fork\n   4  pool:4\n");
    SAYS("The more, the better.");
    expect_guess(4, (const char *const[]){ "prefork:4", "pool:4", "serial", "fork" });
    cr_expect_eq(guess("\t4", &go_on), 0, "the last line may lack its end, and others be left out");
    expect_guess(1, (const char *const[]){ "pool:4" });
}

Test(comparison, after_a_mistake_it_asks_again)
{
    begin();
    cr_expect_eq(guess("serial, frok\n5\n0\n2x\n2 prefork:4\n\n3\n", &go_on), 0);
    SAYS("'frok' is neither a number from 1 to 4 nor a name of the list");
    SAYS("'5' is neither");
    SAYS("'0' is neither");
    SAYS("'2x' is neither");
    SAYS("prefork:4 can have one place only");
    SAYS("Give at least one");
    cr_expect_eq(count_of("Best first"), 7);
    expect_guess(1, (const char *const[]){ "fork" });
}

Test(comparison, without_an_answer_there_is_no_guess)
{
    begin();
    cr_expect_eq(guess("\n", &go_on), -ECANCELED);
    free(text);
    cr_expect_eq(guess("1 2\n", &stopped), -ECANCELED);
    free(text);
    cr_expect_null(match.prediction);
}

static struct prediction_score score_of(unsigned n, char *const *names)
{
    match.prediction = (char **)names;
    match.n_prediction = n;
    return predict_score(&match);
}

#define SCORE(...) score_of(sizeof((char *[]){ __VA_ARGS__ }) / sizeof(char *), (char *[]){ __VA_ARGS__ })

static void expect_score(struct prediction_score score, unsigned right, unsigned agree, unsigned pairs)
{
    cr_expect_eq(score.right, right, "%u are right", score.right);
    cr_expect_eq(score.agree, agree, "%u agree", score.agree);
    cr_expect_eq(score.pairs, pairs, "%u pairs", score.pairs);
    if (pairs > 0)
        cr_expect_float_eq(score.tau, ((double)score.agree - score.disagree) / pairs, 1e-12);
    else
        cr_expect(isnan(score.tau));
}

Test(comparison, a_guess_is_worth_its_places_and_its_pairs)
{
    begin();
    expect_score(SCORE("prefork:4", "pool:4", "serial", "fork"), 4, 6, 6);
    expect_score(SCORE("fork", "serial", "pool:4", "prefork:4"), 0, 0, 6);
    expect_score(SCORE("pool:4", "prefork:4", "serial", "fork"), 2, 5, 6);
    expect_score(SCORE("fork"), 0, 0, 0);
    contestants[1].rounds = 0;
    expect_score(SCORE("prefork:4", "pool:4", "serial", "fork"), 0, 3, 3);
    begin();
    enter(3, "pool:4", 24000, 30);
    expect_score(SCORE("prefork:4", "pool:4", "serial", "fork"), 4, 5, 6);
    cr_expect_float_eq(SCORE("pool:4", "serial").tau, 0, 1e-12);
}

Test(comparison, the_guess_is_printed_beside_the_measurement)
{
    begin();
    contestants[2].rounds = 0;
    SCORE("serial", "pool:4", "fork");
    char *names[] = { "serial", "pool:4", "fork" };
    match.prediction = names;
    FILE *memory = open_memstream(&text, &size);
    predict_print(&match, memory);
    fclose(memory);
    SAYS("      your guess  measured\n"
         "   1  serial      prefork:4\n"
         "   2  pool:4      pool:4      right\n"
         "   3  fork        serial\n"
         "Places guessed rightly: 1 of 3. Pairs in the right order: 0 of 1; Kendall's tau is -1.00 (");
    free(text);
    match.prediction = NULL;
    memory = open_memstream(&text, &size);
    predict_print(&match, memory);
    fclose(memory);
    cr_expect_str_eq(text, "");
    free(text);
}
