/* Lessons: what is read from good texts, which line is named in bad ones, and the lessons that are built in. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../tools/lab/lesson.h"

TestSuite(lesson, .timeout = 600);

#define COUNT(array) (sizeof(array) / sizeof *(array))

#define HEAD "title: T\nstep:\ntext: A\n"   /* whole as it is; what follows stands in line 4, in the step */

static struct lesson parse(const char *text)
{
    struct lesson lesson = { .name = NULL };
    char why[256] = "";
    int r = lesson_parse("given", text, strlen(text), &lesson, why, sizeof why);
    cr_assert_eq(r, 0, "%s", why);
    return lesson;
}

/* Refused, for what the beginning of the sentence says, and nothing was touched. */
static void refuse_bytes(const char *text, size_t size, const char *beginning)
{
    struct lesson untouched = { .n_steps = 4711 };
    char why[256] = "";
    int r = lesson_parse("given", text, size, &untouched, why, sizeof why);
    cr_expect_eq(r, -EINVAL, "not refused: %s", beginning);
    cr_expect(strncmp(why, beginning, strlen(beginning)) == 0, "'%s', not '%s'", why, beginning);
    cr_expect_eq(untouched.n_steps, 4711);
}

static void refuse(const char *text, const char *beginning)
{
    refuse_bytes(text, strlen(text), beginning);
}

/* --- what is read ------------------------------------------------------------------------------------------------- */

static const char all_of_it[] =
    "# a comment\n"
    "title: A title: with a colon\n"
    "title.zh: 标题\n"
    "source: a book # and a page\n"
    "\n"
    "step:\n"
    "text: first\n"
    "text.zh: 第一\n"
    "ask: what\n"
    "ask.zh: 什么\n"
    "explain: because\n"
    "explain.zh: 因为\n"
    "strategy: prefork:2+fiber\n"
    "accept: reuseport\n"
    "workers: +1\n"
    "handler: play\n"
    "option: ms=5\n"
    "option: text=a=b c\n"
    "kind: talk\n"
    "callers: 10000\n"
    "rate: 12.5\n"
    "think_ms: 60000\n"
    "question: sleep 20\n"
    "act: slow\n"
    "act: slow\n"
    "act: release\n"
    "step:\n"
    "text: second\n";

Test(lesson, is_read_with_all_its_keys)
{
    struct lesson lesson = parse(all_of_it);
    const struct lesson_step *step = lesson.steps;
    cr_expect_str_eq(lesson.name, "given");
    cr_expect_str_eq(lesson.title.in[LESSON_EN], "A title: with a colon");
    cr_expect_str_eq(lesson.title.in[LESSON_ZH], "标题");
    cr_expect_str_eq(lesson.source, "a book # and a page");
    cr_assert_eq(lesson.n_steps, 2);
    cr_expect_str_eq(step->text.in[LESSON_EN], "first");
    cr_expect_str_eq(step->text.in[LESSON_ZH], "第一");
    cr_expect_str_eq(step->ask.in[LESSON_EN], "what");
    cr_expect_str_eq(step->ask.in[LESSON_ZH], "什么");
    cr_expect_str_eq(step->explain.in[LESSON_EN], "because");
    cr_expect_str_eq(step->explain.in[LESSON_ZH], "因为");
    lesson_free(&lesson);
}

Test(lesson, is_read_with_what_its_steps_do)
{
    struct lesson lesson = parse(all_of_it);
    const struct lesson_step *step = lesson.steps;
    const struct order_change *change = &step->change;
    cr_expect_str_eq(change->strategy, "prefork:2+fiber");
    cr_expect_str_eq(change->accept, "reuseport");
    cr_expect_str_eq(change->workers, "+1");
    cr_expect_str_eq(change->handler, "play");
    cr_assert_eq(change->n_options, 2);
    cr_expect_str_eq(change->options[0], "ms=5");
    cr_expect_str_eq(change->options[1], "text=a=b c");
    cr_expect(step->sets_load && step->has_kind && step->has_callers && step->has_rate);
    cr_expect(step->has_think && step->has_question);
    cr_expect_eq(step->load.kind, ORDER_TALK);
    cr_expect_eq(step->load.callers, 10000);
    cr_expect_eq(step->load.rate, 12.5);
    cr_expect_eq(step->load.think_ms, 60000);
    cr_expect_str_eq(step->load.question, "sleep 20");
    cr_assert_eq(step->n_acts, 3);
    cr_expect_eq(step->acts[0], ORDER_ONE_SLOW);
    cr_expect_eq(step->acts[1], ORDER_ONE_SLOW);
    cr_expect_eq(step->acts[2], ORDER_RELEASE);
    lesson_free(&lesson);
}

Test(lesson, has_nothing_where_nothing_is_said)
{
    struct lesson lesson = parse(all_of_it);
    const struct lesson_step *step = &lesson.steps[1];
    cr_expect_str_eq(step->text.in[LESSON_EN], "second");
    cr_expect_null(step->text.in[LESSON_ZH]);
    cr_expect(!step->ask.in[LESSON_EN] && !step->ask.in[LESSON_ZH] && !step->explain.in[LESSON_EN]);
    cr_expect(order_change_is_empty(&step->change));
    cr_expect(!step->sets_load && !step->has_kind && !step->has_callers && !step->has_rate && !step->has_think);
    cr_expect(!step->has_question && step->n_acts == 0);
    lesson_free(&lesson);
    lesson = parse(HEAD);
    cr_expect(!lesson.source && !lesson.title.in[LESSON_ZH]);
    lesson_free(&lesson);
}

Test(lesson, of_which_nothing_is_left_can_be_freed_again)
{
    struct lesson lesson = parse(all_of_it);
    lesson_free(&lesson);
    cr_expect(!lesson.name && !lesson.steps && lesson.n_steps == 0);
    lesson_free(&lesson);
}

Test(lesson, changes_only_what_it_says_of_the_load)
{
    struct lesson lesson = parse(HEAD "callers: 3\nstep:\ntext: B\nquestion:\nrate: 0\n");
    struct order_load load = { .kind = ORDER_SLOW, .callers = 7, .rate = 8, .think_ms = 9, .question = "spin 1" };
    lesson_apply_load(&lesson.steps[0], &load);
    cr_expect(load.kind == ORDER_SLOW && load.callers == 3 && load.rate == 8 && load.think_ms == 9);
    cr_expect_str_eq(load.question, "spin 1");
    lesson_apply_load(&lesson.steps[1], &load);
    cr_expect(load.kind == ORDER_SLOW && load.callers == 3 && load.rate == 0 && load.think_ms == 9);
    cr_expect_str_eq(load.question, "");
    lesson_free(&lesson);
    lesson = parse(all_of_it);
    lesson_apply_load(&lesson.steps[0], &load);
    cr_expect(load.kind == ORDER_TALK && load.callers == 10000 && load.rate == 12.5 && load.think_ms == 60000);
    cr_expect_str_eq(load.question, "sleep 20");
    lesson_free(&lesson);
}

/* --- lines -------------------------------------------------------------------------------------------------------- */

/* Of a step whose only text it is. */
static void expect_text(enum lesson_language language, const char *written, const char *wanted)
{
    char text[1024];
    const char *key = language == LESSON_ZH ? "text: A\ntext.zh" : "text";
    snprintf(text, sizeof text, "title: T\nstep:\n%s:%s", key, written);
    struct lesson lesson = parse(text);
    cr_expect_str_eq(lesson.steps[0].text.in[language], wanted);
    lesson_free(&lesson);
}

Test(lesson, joins_lines_that_begin_with_a_blank)
{
    expect_text(LESSON_EN, " one\n two\n\tthree", "one two three");
    expect_text(LESSON_EN, "one  \n    two \t\n", "one two");
    expect_text(LESSON_EN, "\n one\n two\n", "one two");
    expect_text(LESSON_EN, " one\n\n# a comment\n  \n two\n", "one two");
    expect_text(LESSON_EN, " one\n # no comment\n step: no key\n", "one # no comment step: no key");
}

Test(lesson, joins_chinese_without_a_blank_but_not_words_of_another_script)
{
    expect_text(LESSON_ZH, " 服务器\n 接受\n 连接。\n", "服务器接受连接。");
    expect_text(LESSON_ZH, " 用 prefork\n accept 的\n 次序，\n pool 和\n fiber",
                "用 prefork accept 的次序，pool 和fiber");
}

Test(lesson, begins_a_paragraph_at_a_dot)
{
    expect_text(LESSON_EN, " one\n two\n .\n three\n four\n", "one two\nthree four");
    expect_text(LESSON_EN, " one\n \t. \n .5 is no dot", "one\n.5 is no dot");
}

Test(lesson, takes_dots_that_begin_nothing_for_nothing)
{
    expect_text(LESSON_EN, " one\n .\n .\n two\n .\n", "one\ntwo");
    expect_text(LESSON_EN, "\n .\n one\n .", "one");
    expect_text(LESSON_ZH, " 一\n .\n 二\n 三\n", "一\n二三");
    expect_text(LESSON_EN, " one.\n ..\n . two\n", "one. .. . two");
}

Test(lesson, may_come_from_an_editor_of_windows)
{
    struct lesson lesson = parse("\xef\xbb\xbftitle: T\r\nstep:\r\n\r\ntext: one\r\n two\r\n .\r\n three\r\n"
                                 "callers: 5\r\n");
    cr_expect_str_eq(lesson.title.in[LESSON_EN], "T");
    cr_expect_str_eq(lesson.steps[0].text.in[LESSON_EN], "one two\nthree");
    cr_expect_eq(lesson.steps[0].load.callers, 5);
    lesson_free(&lesson);
    refuse("title: T\n\xef\xbb\xbfstep:\n", "2: a line is 'key: value'");
    refuse("title: T\rstep:\rtext: A\r", "1: a character that controls, at byte 9");
}

Test(lesson, needs_no_newline_at_its_end_and_no_blank_behind_a_colon)
{
    struct lesson lesson = parse("title:T\nstep:  \ntext:A\nact:burst");
    cr_expect_str_eq(lesson.title.in[LESSON_EN], "T");
    cr_expect_eq(lesson.steps[0].acts[0], ORDER_BURST);
    lesson_free(&lesson);
}

Test(lesson, has_lines_that_are_key_and_value_or_go_on)
{
    refuse("title: T\nstep:\ntext: one\ntwo\n", "4: a line is 'key: value', or begins with a blank");
    refuse(HEAD "And so: on\n", "4: a line is");
    refuse(HEAD ": on\n", "4: a line is");
    refuse(HEAD "act slow\n", "4: a line is");
    refuse(HEAD "act：slow\n", "4: a line is");
    refuse(HEAD "Act: slow\n", "4: a line is");
    refuse(" one\ntitle: T\n", "1: this line begins with a blank, but there is no value above");
    refuse("title: T\nstep:\n one\n", "3: this line begins with a blank, but");
}

Test(lesson, has_one_paragraph_in_all_but_prose)
{
    refuse("title: T\n .\n U\n", "2: title has one paragraph only");
    refuse(HEAD "question: sleep 5\n .\n", "5: question has one paragraph only");
    struct lesson lesson = parse("title: a long\n title\nsource: a\n book\nstep:\ntext: A\nask: a\n .\n b\n"
                                 "question: .\n");
    cr_expect_str_eq(lesson.title.in[LESSON_EN], "a long title");
    cr_expect_str_eq(lesson.source, "a book");
    cr_expect_str_eq(lesson.steps[0].ask.in[LESSON_EN], "a\nb");
    cr_expect_str_eq(lesson.steps[0].load.question, ".");
    lesson_free(&lesson);
}

/* --- keys --------------------------------------------------------------------------------------------------------- */

Test(lesson, names_the_keys_that_would_be_right)
{
    refuse(HEAD "txt: A\n", "4: there is no key 'txt': here it is step, text, ask, explain, strategy, accept, workers, "
           "handler, option, kind, callers, rate, think_ms, question or act");
    refuse("titel: T\n", "1: there is no key 'titel': here it is title, source or step");
    refuse(HEAD "text.de: A\n", "4: there is no key 'text.de'");
    refuse(HEAD "tex: A\n", "4: there is no key 'tex'");
    refuse(HEAD "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz: A\n",
           "4: there is no key 'abcdefghijklmnopqrstuvwxyzabcdefghijklmn': here");
}

Test(lesson, has_each_key_once_in_its_place)
{
    refuse(HEAD "act: slow\n\ntext: B\n", "6: text stands in line 3 already");
    refuse("title: T\n# and\ntitle: U\n", "3: title stands in line 1 already");
    refuse("title.zh: T\ntitle.zh: U\n", "2: title.zh stands in line 1 already");
    refuse(HEAD "callers: 1\ncallers: 1\n", "5: callers stands in line 4 already");
    refuse(HEAD "question:\nquestion:\n", "5: question stands in line 4 already");
    refuse("title: T\ntext: A\n", "2: text belongs to a step");
    refuse("title: T\nact: slow\n", "2: act belongs to a step");
    refuse(HEAD "title: U\n", "4: title belongs before the first step");
    refuse(HEAD "source: B\n", "4: source belongs before the first step");
    refuse("title: T\nstep: one\n", "2: behind 'step:' comes a line of its own");
}

Test(lesson, has_something_behind_each_colon_but_that_of_the_question)
{
    refuse("title:\nstep:\n", "1: title has nothing behind its colon");
    refuse("title:   \n", "1: title has nothing behind its colon");
    refuse("title: T\nstep:\ntext:\n .\n", "3: text has nothing behind its colon");
    refuse(HEAD "strategy:\nact: slow\n", "4: strategy has nothing behind its colon");
    refuse(HEAD "option:\n", "4: option has nothing behind its colon");
    refuse(HEAD "act:\n", "4: act has nothing behind its colon");
    refuse(HEAD "callers:\n", "4: callers has nothing behind its colon");
    refuse(HEAD "kind:\n", "4: kind has nothing behind its colon");
}

Test(lesson, needs_a_title_steps_and_a_text_in_each)
{
    refuse("", "1: the lesson has no title");
    refuse("\n# nothing\n", "1: the lesson has no title");
    refuse("# none\nstep:\ntext: A\n", "1: the lesson has no title");
    refuse("title: T\n\n", "2: the lesson has no steps");
    refuse("title: T\nstep:\n", "2: this step has no text");
    refuse("title: T\nstep:\nact: slow\nstep:\ntext: B\n", "2: this step has no text");
    refuse(HEAD "step:\nask: B\n\n", "4: this step has no text");
}

Test(lesson, may_lack_chinese_but_not_english)
{
    struct lesson lesson = parse("title: T\nstep:\ntext.zh: 文\ntext: A\nask: B\n");
    cr_expect_str_eq(lesson.steps[0].text.in[LESSON_ZH], "文");
    cr_expect(lesson.steps[0].ask.in[LESSON_EN] && !lesson.steps[0].ask.in[LESSON_ZH]);
    lesson_free(&lesson);
    refuse("title.zh: 题\nstep:\n", "1: title.zh stands without title");
    refuse("title: T\nstep:\ntext.zh: 文\n", "3: text.zh stands without text");
    refuse(HEAD "ask.zh: 问\nstep:\ntext: B\nask: C\n", "4: ask.zh stands without ask");
    refuse(HEAD "ask: B\nexplain.zh: 因\n", "5: explain.zh stands without explain");
}

/* --- values ------------------------------------------------------------------------------------------------------- */

Test(lesson, has_numbers_within_their_bounds)
{
    refuse(HEAD "callers: 10001\n", "4: callers is a whole number from 0 to 10000, and not '10001'");
    refuse(HEAD "callers: many\n", "4: callers is a whole number from 0 to 10000, and not 'many'");
    refuse(HEAD "callers: -1\n", "4: callers is");
    refuse(HEAD "callers: +1\n", "4: callers is");
    refuse(HEAD "callers: 1.5\n", "4: callers is");
    refuse(HEAD "callers: 1 2\n", "4: callers is");
    refuse(HEAD "callers: 1\n 2\n", "4: callers is");
    refuse(HEAD "callers: 99999999999999999999999999\n", "4: callers is");
    refuse(HEAD "think_ms: 60001\n", "4: think_ms is a whole number from 0 to 60000, and not '60001'");
    refuse(HEAD "rate: 1000000.5\n", "4: rate is a number from 0 to 1000000, and not '1000000.5'");
    refuse(HEAD "rate: 1e3\n", "4: rate is");
    refuse(HEAD "rate: inf\n", "4: rate is");
    refuse(HEAD "rate: nan\n", "4: rate is");
    refuse(HEAD "rate: 1.2.3\n", "4: rate is");
    refuse(HEAD "rate: .\n", "4: rate is");
    struct lesson lesson = parse(HEAD "callers: 0\nrate: 1000000\nthink_ms: 0010\n");
    cr_expect(lesson.steps[0].load.callers == 0 && lesson.steps[0].has_callers);
    cr_expect(lesson.steps[0].load.rate == 1000000 && lesson.steps[0].load.think_ms == 10);
    lesson_free(&lesson);
}

Test(lesson, has_words_that_there_are)
{
    refuse(HEAD "kind: shrt\n", "4: there is no kind 'shrt': it is short, talk, slow, silent or datagrams");
    refuse(HEAD "act: slow slow\n", "4: there is no act 'slow slow': it is slow, silent, burst, crash, hold or "
           "release");
    refuse(HEAD "act: kill\n", "4: there is no act 'kill'");
    refuse(HEAD "act: stop\n", "4: there is no act 'stop'");
    refuse(HEAD "accept: flok\n", "4: there is no accept 'flok': it is shared, mutex, flock, pass or reuseport");
    refuse(HEAD "workers: four\n", "4: workers is a number, or + or - and a number, and not 'four'");
    refuse(HEAD "workers: +\n", "4: workers is");
    refuse(HEAD "workers: 4x\n", "4: workers is");
    refuse(HEAD "option: ms\n", "4: an option is KEY=VALUE, and not 'ms'");
    refuse(HEAD "option: =5\n", "4: an option is KEY=VALUE, and not '=5'");
}

/* Head, then `count` times each line, then the tail; the caller's. */
static char *repeat(const char *head, const char *line, unsigned count, const char *tail)
{
    char *text = malloc(strlen(head) + count * strlen(line) + strlen(tail) + 1);
    char *end = stpcpy(text, head);
    while (count-- > 0)
        end = stpcpy(end, line);
    strcpy(end, tail);
    return text;
}

static void expect_limit(const char *head, const char *line, unsigned most, const char *beginning)
{
    char *text = repeat(head, line, most, "\n");
    struct lesson lesson = parse(text);
    lesson_free(&lesson);
    free(text);
    text = repeat(head, line, most + 1, "\n");
    refuse(text, beginning);
    free(text);
}

Test(lesson, has_bounds)
{
    expect_limit("title: T\n", "step:\ntext: A\n", LESSON_STEPS_MAX, "66: this is one step too many: there may be 32");
    expect_limit(HEAD, "act: slow\n", LESSON_ACTS_MAX, "12: this is one act too many: a step may have 8");
    expect_limit(HEAD, "option: a=b\n", ORDER_OPTIONS_MAX, "12: this is one option too many: there may be 8");
    expect_limit(HEAD "question: ", "x", ORDER_TEXT_SIZE - 1, "4: question has 128 bytes: there may be 127");
    expect_limit(HEAD "handler: ", "x", ORDER_TEXT_SIZE - 1, "4: handler has 128 bytes: there may be 127");
    expect_limit(HEAD "option: a=", "x", ORDER_TEXT_SIZE - 3, "4: option has 128 bytes: there may be 127");
    expect_limit(HEAD "#", "x", LESSON_SIZE_MAX - (sizeof HEAD - 1) - 2, "1: the lesson is too long");
}

/* --- characters --------------------------------------------------------------------------------------------------- */

static void refuse_character(const char *bytes, size_t size, const char *beginning)
{
    char text[64] = HEAD "#";
    size_t before = strlen(text);
    memcpy(text + before, bytes, size);
    refuse_bytes(text, before + size, beginning);
    text[before + size] = '\n';
    refuse_bytes(text, before + size + 1, beginning);
}

Test(lesson, is_utf_8)
{
    static const char *const bad[] = {
        "\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc3", "\xc3(", "\xe0\x9f\xbf", "\xe4\xb8", "\xe4\xb8(",
        "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf0\x9f\x98", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff",
        "\xd6\xd0\xce\xc4",
    };
    for (size_t i = 0; i < COUNT(bad); i++)
        refuse_character(bad[i], strlen(bad[i]), "4: this is not UTF-8, at byte 2 (0x");
    expect_text(LESSON_EN, " \xc2\xa0\xc3\xbf\xdf\xbf", "\xc2\xa0\xc3\xbf\xdf\xbf");
    expect_text(LESSON_EN, " \xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80", "\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80");
    expect_text(LESSON_EN, " \xf0\x90\x80\x80\xf4\x8f\xbf\xbf", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
}

Test(lesson, has_no_characters_that_control)
{
    for (char c = 0; c < ' '; c++)
        if (c != '\n' && c != '\t' && c != '\r')
            refuse_character(&c, 1, "4: a character that controls, at byte 2");
    refuse_character("\x7f", 1, "4: a character that controls, at byte 2");
    refuse_character("\r ", 2, "4: a character that controls, at byte 2");
    refuse_character("\xc2\x9b", 2, "4: a character that controls, at byte 2");
    expect_text(LESSON_EN, " a\tb", "a\tb");
}

Test(lesson, is_refused_with_whole_characters_and_within_the_room)
{
    static const char text[] = HEAD "kind: 短短短短短短短短短短短短短短短短\n";
    struct lesson lesson;
    refuse(text, "4: there is no kind '短短短短短短短短短短短短短': it is short");
    for (size_t size = 0; size < 80; size++) {
        char why[81];
        memset(why, '!', sizeof why);
        cr_expect_eq(lesson_parse("given", text, sizeof text - 1, &lesson, why, size), -EINVAL);
        cr_expect_eq(why[size], '!', "written beyond %zu bytes", size);
        if (size == 0)
            continue;
        cr_assert(memchr(why, '\0', size), "no end within %zu bytes", size);
        size_t length = strlen(why), begin = strlen("4: there is no kind '"), end = begin + 13 * strlen("短");
        cr_expect(length + strlen("短") >= size, "only %zu of %zu bytes are used", length, size);
        cr_expect(length <= begin || length >= end || (length - begin) % strlen("短") == 0,
                  "'%s' ends amid a character", why);
    }
}

/* --- files -------------------------------------------------------------------------------------------------------- */

/* Its path; the caller removes it. */
static void write_file(const char *text, size_t size, char path[64])
{
    strcpy(path, "/tmp/given-XXXXXX.lesson");
    int fd = mkstemps(path, 7);
    cr_assert(fd >= 0 && write(fd, text, size) == (ssize_t)size);
    close(fd);
}

Test(lesson, is_read_from_a_file_whose_name_it_bears)
{
    char path[64], name[64], why[256];
    struct lesson lesson;
    write_file(all_of_it, sizeof all_of_it - 1, path);
    snprintf(name, sizeof name, "%.*s", (int)strlen(path) - 12, path + 5);
    cr_assert_eq(lesson_read(path, &lesson, why, sizeof why), 0);
    cr_expect_str_eq(lesson.name, name);
    cr_expect_eq(lesson.n_steps, 2);
    lesson_free(&lesson);
    unlink(path);
}

Test(lesson, of_a_file_is_refused_like_any_other)
{
    char path[64], why[256], *text = calloc(1, LESSON_SIZE_MAX + 10);
    struct lesson lesson;
    write_file(HEAD "act: fly\n", sizeof HEAD + 8, path);
    cr_expect_eq(lesson_read(path, &lesson, why, sizeof why), -EINVAL);
    cr_expect(strncmp(why, "4: there is no act 'fly'", 24) == 0, "%s", why);
    unlink(path);
    write_file(text, LESSON_SIZE_MAX + 10, path);
    cr_expect_eq(lesson_read(path, &lesson, why, sizeof why), -EINVAL);
    cr_expect(strncmp(why, "1: the lesson is too long", 25) == 0, "%s", why);
    unlink(path);
    free(text);
}

Test(lesson, that_cannot_be_read_says_why)
{
    char why[256];
    struct lesson lesson;
    cr_expect_eq(lesson_read("/nowhere/a.lesson", &lesson, why, sizeof why), -ENOENT);
    cr_expect_str_eq(why, "it cannot be read: No such file or directory");
    cr_expect_eq(lesson_read("/", &lesson, why, sizeof why), -EISDIR);
    cr_expect_str_eq(why, "it cannot be read: Is a directory");
}

/* --- those that are built in -------------------------------------------------------------------------------------- */

static bool has_both(const struct lesson_text *text)
{
    return text->in[LESSON_EN] && text->in[LESSON_ZH];
}

static bool is_whole(const struct lesson_text *text)
{
    return !text->in[LESSON_EN] || text->in[LESSON_ZH];
}

static unsigned paragraphs(const char *text)
{
    unsigned count = 1;
    for (; text && (text = strchr(text, '\n')); text++)
        count++;
    return count;
}

static void expect_both_languages(const struct lesson *lesson, unsigned i)
{
    const struct lesson_step *step = &lesson->steps[i];
    cr_expect(has_both(&step->text), "%s: step %u has no text in both languages", lesson->name, i);
    cr_expect(is_whole(&step->ask) && is_whole(&step->explain), "%s: step %u lacks Chinese", lesson->name, i);
    cr_expect_eq(paragraphs(step->text.in[LESSON_EN]), paragraphs(step->text.in[LESSON_ZH]), "%s, step %u",
                 lesson->name, i);
    cr_expect_eq(paragraphs(step->explain.in[LESSON_EN]), paragraphs(step->explain.in[LESSON_ZH]), "%s, step %u",
                 lesson->name, i);
}

/* A question without anything that answers it, or an answer without question, would be shown for ever or never. */
static bool is_answered(const struct lesson_step *step)
{
    bool does = !order_change_is_empty(&step->change) || step->sets_load || step->n_acts > 0;
    return !step->ask.in[LESSON_EN] == !step->explain.in[LESSON_EN] && (!step->ask.in[LESSON_EN] || does);
}

/* A lesson may begin from anything. */
static bool sets_everything(const struct lesson_step *step)
{
    const struct order_change *change = &step->change;
    return change->strategy[0] && change->accept[0] && change->handler[0] && step->has_kind && step->has_callers &&
           step->has_rate && step->has_think && step->has_question && !step->ask.in[LESSON_EN];
}

static void expect_good(const struct lesson *lesson)
{
    unsigned asked = 0;
    cr_expect(has_both(&lesson->title) && lesson->source, "%s has no title in both languages, or no source",
              lesson->name);
    cr_expect_geq(lesson->n_steps, 4, "%s has only %u steps", lesson->name, lesson->n_steps);
    cr_expect(sets_everything(&lesson->steps[0]), "%s does not begin from anything", lesson->name);
    for (unsigned i = 0; i < lesson->n_steps; i++) {
        expect_both_languages(lesson, i);
        cr_expect(is_answered(&lesson->steps[i]), "%s: step %u asks, but does or explains nothing", lesson->name, i);
        asked += lesson->steps[i].ask.in[LESSON_EN] != NULL;
    }
    cr_expect_geq(asked, 1, "%s asks nothing", lesson->name);
}

Test(lesson, that_is_built_in_is_good)
{
    static const char *const names[] = { "serial", "crash", "fork", "herd", "accept", "little", "fiber", "reuseport",
                                         "overload", "updates" };
    cr_assert_eq(n_lesson_sources, COUNT(names));
    for (unsigned i = 0; i < n_lesson_sources; i++) {
        const struct lesson_source *source = &lesson_sources[i];
        struct lesson lesson;
        char why[256] = "";
        cr_expect_str_eq(source->name, names[i]);
        int r = lesson_parse(source->name, source->text, source->size, &lesson, why, sizeof why);
        cr_assert_eq(r, 0, "%s: %s", source->name, why);
        expect_good(&lesson);
        lesson_free(&lesson);
    }
}
