#include "lesson.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { KEYS_MAX = 32, SHOWN_MAX = 40, LIST_SIZE = 192 };

struct parser;

/* What may stand before a colon. */
struct key {
    const char *name;
    int (*take)(struct parser *parser, const struct key *key, const char *value);
    size_t offset;                  /* of what it sets, in struct lesson or struct lesson_step */
    size_t flag;                    /* of the load's: where it says that it is set */
    unsigned most;                  /* of a number */
    enum lesson_language language;
    bool of_step;                   /* else of the lesson */
    bool has_paragraphs, may_be_empty, several;
};

struct parser {
    const char *rest, *end;         /* what is still to be read */
    unsigned line;                  /* the number of the one before that */
    struct lesson lesson;
    struct lesson_step *step;       /* NULL: still the lesson's own keys */
    unsigned step_line;
    const struct key *key;          /* whose value goes on; NULL: nothing can go on */
    unsigned key_line;
    unsigned lines[KEYS_MAX];       /* where each key of this step, or of the lesson, stands; 0: not yet */
    char *value;                    /* as large as the text: joining lines makes nothing longer */
    size_t value_size;
    bool paragraph_ends;
    char *why;
    size_t why_size;
};

/* --- UTF-8 -------------------------------------------------------------------------------------------------------- */

/* Which second bytes may follow which first ones, and how long that is (Unicode 15, table 3-7), without the characters
 * that control; the tabulator is the one that does no harm. */
static const struct sequence {
    unsigned char first, last, low, high, size;
} sequences[] = {
    { '\t', '\t', 0, 0, 1 },          { ' ', '~', 0, 0, 1 },            { 0xc2, 0xc2, 0xa0, 0xbf, 2 },
    { 0xc3, 0xdf, 0x80, 0xbf, 2 },    { 0xe0, 0xe0, 0xa0, 0xbf, 3 },    { 0xe1, 0xec, 0x80, 0xbf, 3 },
    { 0xed, 0xed, 0x80, 0x9f, 3 },    { 0xee, 0xef, 0x80, 0xbf, 3 },    { 0xf0, 0xf0, 0x90, 0xbf, 4 },
    { 0xf1, 0xf3, 0x80, 0xbf, 4 },    { 0xf4, 0xf4, 0x80, 0x8f, 4 },
};

static bool is_ascii(char c)
{
    return (unsigned char)c < 0x80;
}

static bool is_tail(unsigned char byte)
{
    return byte >= 0x80 && byte < 0xc0;
}

static bool fits(const struct sequence *sequence, const unsigned char *bytes, size_t size)
{
    if (bytes[0] < sequence->first || bytes[0] > sequence->last || size < sequence->size)
        return false;
    for (unsigned i = 1; i < sequence->size; i++)
        if (!is_tail(bytes[i]))
            return false;
    return sequence->size == 1 || (bytes[1] >= sequence->low && bytes[1] <= sequence->high);
}

/* How many bytes the first character has. 0: it is none, or one that controls. */
static size_t character_size(const char *text, size_t size)
{
    for (size_t i = 0; i < COUNT(sequences); i++)
        if (fits(&sequences[i], (const unsigned char *)text, size))
            return sequences[i].size;
    return 0;
}

/* How many bytes, at most so many, hold whole characters only. */
static size_t whole_characters(const char *text, size_t most)
{
    size_t size = 0, next;
    while (size < most && (next = character_size(text + size, most - size)) > 0)
        size += next;
    return size;
}

/* --- why not ------------------------------------------------------------------------------------------------------ */

__attribute__((format(printf, 3, 4)))
static int refuse(const struct parser *parser, unsigned line, const char *format, ...)
{
    char sentence[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    if (parser->why_size > 0) {
        snprintf(parser->why, parser->why_size, "%u: %s", line, sentence);
        parser->why[whole_characters(parser->why, strlen(parser->why))] = '\0';
    }
    return -EINVAL;
}

/* For "%.*s": the beginning of what somebody wrote. */
static int shown(const char *text)
{
    return (int)whole_characters(text, strnlen(text, SHOWN_MAX));
}

/* "a, b or c". */
static void list_names(const char *const *names, unsigned count, char *list)
{
    size_t length = 0;
    for (unsigned i = 0; i < count && length < LIST_SIZE; i++) {
        const char *between = i == 0 ? "" : i + 1 < count ? ", " : " or ";
        length += (size_t)snprintf(list + length, LIST_SIZE - length, "%s%s", between, names[i]);
    }
}

static int refuse_name(const struct parser *parser, const char *name, const char *const *names, unsigned count)
{
    char list[LIST_SIZE];
    list_names(names, count, list);
    return refuse(parser, parser->key_line, "there is no %s '%.*s': it is %s", parser->key->name, shown(name), name,
                  list);
}

/* --- values ------------------------------------------------------------------------------------------------------- */

/* What a key sets: the lesson's, or the step's. */
static void *target(struct parser *parser, size_t offset)
{
    return (parser->step ? (char *)parser->step : (char *)&parser->lesson) + offset;
}

static int take_text(struct parser *parser, const struct key *key, const char *value)
{
    char **text = target(parser, key->offset);
    *text = strdup(value);
    return *text ? 0 : -ENOMEM;
}

static int copy_word(struct parser *parser, const char *value, char word[ORDER_TEXT_SIZE])
{
    size_t length = strlen(value);
    if (length >= ORDER_TEXT_SIZE)
        return refuse(parser, parser->key_line, "%s has %zu bytes: there may be %d", parser->key->name, length,
                      ORDER_TEXT_SIZE - 1);
    memcpy(word, value, length + 1);
    return 0;
}

static int take_word(struct parser *parser, const struct key *key, const char *value)
{
    return copy_word(parser, value, target(parser, key->offset));
}

static int take_discipline(struct parser *parser, const struct key *key, const char *value)
{
    static const char *const disciplines[] = { "shared", "mutex", "flock", "pass", "reuseport" };
    if (order_find(disciplines, COUNT(disciplines), value) < 0)
        return refuse_name(parser, value, disciplines, COUNT(disciplines));
    return take_word(parser, key, value);
}

static int take_workers(struct parser *parser, const struct key *key, const char *value)
{
    const char *digits = value + (*value == '+' || *value == '-');
    if (*digits == '\0' || digits[strspn(digits, "0123456789")] != '\0')
        return refuse(parser, parser->key_line, "workers is a number, or + or - and a number, and not '%.*s'",
                      shown(value), value);
    return take_word(parser, key, value);
}

static int take_option(struct parser *parser, const struct key *key, const char *value)
{
    struct order_change *change = target(parser, key->offset);
    if (*value == '=' || !strchr(value, '='))
        return refuse(parser, parser->key_line, "an option is KEY=VALUE, and not '%.*s'", shown(value), value);
    if (change->n_options == ORDER_OPTIONS_MAX)
        return refuse(parser, parser->key_line, "this is one option too many: there may be %d", ORDER_OPTIONS_MAX);
    int r = copy_word(parser, value, change->options[change->n_options]);
    change->n_options += r == 0;
    return r;
}

static int take_kind(struct parser *parser, const struct key *key, const char *value)
{
    int kind = order_find(order_kind_names, ORDER_KINDS, value);
    if (kind < 0)
        return refuse_name(parser, value, order_kind_names, ORDER_KINDS);
    *(enum order_kind *)target(parser, key->offset) = (enum order_kind)kind;
    return 0;
}

/* Those behind ORDER_RELEASE need a pid, which no lesson can know. */
static int take_act(struct parser *parser, const struct key *key, const char *value)
{
    struct lesson_step *step = target(parser, key->offset);
    int act = order_find(order_act_names, ORDER_RELEASE + 1, value);
    if (act < 0)
        return refuse_name(parser, value, order_act_names, ORDER_RELEASE + 1);
    if (step->n_acts == LESSON_ACTS_MAX)
        return refuse(parser, parser->key_line, "this is one act too many: a step may have %d", LESSON_ACTS_MAX);
    step->acts[step->n_acts++] = (enum order_act)act;
    return 0;
}

/* strtod(3) alone would take signs, exponents, infinity. */
static bool is_number(const char *text, const char *characters, double most, double *ret_number)
{
    char *end;
    if (text[strspn(text, characters)] != '\0')
        return false;
    *ret_number = strtod(text, &end);
    return end != text && *end == '\0' && *ret_number <= most;
}

static int take_whole(struct parser *parser, const struct key *key, const char *value)
{
    double number;
    if (!is_number(value, "0123456789", key->most, &number))
        return refuse(parser, parser->key_line, "%s is a whole number from 0 to %u, and not '%.*s'", key->name,
                      key->most, shown(value), value);
    *(unsigned *)target(parser, key->offset) = (unsigned)number;
    return 0;
}

static int take_real(struct parser *parser, const struct key *key, const char *value)
{
    double number;
    if (!is_number(value, "0123456789.", key->most, &number))
        return refuse(parser, parser->key_line, "%s is a number from 0 to %u, and not '%.*s'", key->name, key->most,
                      shown(value), value);
    *(double *)target(parser, key->offset) = number;
    return 0;
}

/* --- keys --------------------------------------------------------------------------------------------------------- */

#define IN_LESSON(member) .offset = offsetof(struct lesson, member)
#define IN_STEP(member) .of_step = true, .offset = offsetof(struct lesson_step, member)
#define IN_LOAD(member, has) IN_STEP(load.member), .flag = offsetof(struct lesson_step, has)
#define PROSE(member) IN_STEP(member), .take = take_text, .has_paragraphs = true

/* Each key in Chinese comes right behind the same in English. `step` sets nothing. */
static const struct key keys[] = {
    { "title", take_text, IN_LESSON(title.in[LESSON_EN]) },
    { "title.zh", take_text, IN_LESSON(title.in[LESSON_ZH]), .language = LESSON_ZH },
    { "source", take_text, IN_LESSON(source) },
    { "step", NULL, .may_be_empty = true },
    { "text", PROSE(text.in[LESSON_EN]) },
    { "text.zh", PROSE(text.in[LESSON_ZH]), .language = LESSON_ZH },
    { "ask", PROSE(ask.in[LESSON_EN]) },
    { "ask.zh", PROSE(ask.in[LESSON_ZH]), .language = LESSON_ZH },
    { "explain", PROSE(explain.in[LESSON_EN]) },
    { "explain.zh", PROSE(explain.in[LESSON_ZH]), .language = LESSON_ZH },
    { "strategy", take_word, IN_STEP(change.strategy) },
    { "accept", take_discipline, IN_STEP(change.accept) },
    { "workers", take_workers, IN_STEP(change.workers) },
    { "handler", take_word, IN_STEP(change.handler) },
    { "option", take_option, IN_STEP(change), .several = true },
    { "kind", take_kind, IN_LOAD(kind, has_kind) },
    { "callers", take_whole, IN_LOAD(callers, has_callers), .most = ORDER_CALLERS_MAX },
    { "rate", take_real, IN_LOAD(rate, has_rate), .most = ORDER_RATE_MAX },
    { "think_ms", take_whole, IN_LOAD(think_ms, has_think), .most = ORDER_THINK_MS_MAX },
    { "question", take_word, IN_LOAD(question, has_question), .may_be_empty = true },
    { "act", take_act, .of_step = true, .several = true },
};

_Static_assert(COUNT(keys) <= KEYS_MAX, "parser.lines has no room for them");

static bool is_step(const struct key *key)
{
    return key->take == NULL;
}

static const struct key *find_key(const char *name, size_t length)
{
    for (size_t i = 0; i < COUNT(keys); i++)
        if (strlen(keys[i].name) == length && memcmp(keys[i].name, name, length) == 0)
            return &keys[i];
    return NULL;
}

/* The list is of the keys that would be right here. */
static int refuse_key(const struct parser *parser, const char *name, size_t length)
{
    const char *names[KEYS_MAX];
    char list[LIST_SIZE];
    unsigned count = 0;
    for (size_t i = 0; i < COUNT(keys); i++)
        if (keys[i].language == LESSON_EN && (keys[i].of_step == (parser->step != NULL) || is_step(&keys[i])))
            names[count++] = keys[i].name;
    list_names(names, count, list);
    return refuse(parser, parser->line, "there is no key '%.*s': here it is %s", length < SHOWN_MAX ? (int)length :
                  SHOWN_MAX, name, list);
}

/* --- steps -------------------------------------------------------------------------------------------------------- */

static unsigned *line_of(struct parser *parser, const struct key *key)
{
    return &parser->lines[key - keys];
}

static int check_languages(struct parser *parser)
{
    for (size_t i = 1; i < COUNT(keys); i++)
        if (keys[i].language == LESSON_ZH && parser->lines[i] > 0 && parser->lines[i - 1] == 0)
            return refuse(parser, parser->lines[i], "%s stands without %s, which is shown where Chinese is not wanted",
                          keys[i].name, keys[i - 1].name);
    return 0;
}

/* That what has come so far, the lesson's own keys or a step, is whole. */
static int end_section(struct parser *parser)
{
    int r = check_languages(parser);
    if (r < 0)
        return r;
    if (!parser->step && !parser->lesson.title.in[LESSON_EN])
        return refuse(parser, 1, "the lesson has no title: a line 'title: ...' comes before the first step");
    if (parser->step && !parser->step->text.in[LESSON_EN])
        return refuse(parser, parser->step_line, "this step has no text");
    memset(parser->lines, 0, sizeof parser->lines);
    return 0;
}

static int begin_step(struct parser *parser)
{
    struct lesson *lesson = &parser->lesson;
    int r = end_section(parser);
    if (r < 0)
        return r;
    if (lesson->n_steps == LESSON_STEPS_MAX)
        return refuse(parser, parser->line, "this is one step too many: there may be %d", LESSON_STEPS_MAX);
    struct lesson_step *steps = reallocarray(lesson->steps, lesson->n_steps + 1, sizeof *steps);
    if (!steps)
        return -ENOMEM;
    lesson->steps = steps;
    parser->step = &steps[lesson->n_steps++];
    *parser->step = (struct lesson_step){ .n_acts = 0 };
    parser->step_line = parser->line;
    return 0;
}

/* --- lines -------------------------------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void trim(const char **text, size_t *size)
{
    while (*size > 0 && is_blank(**text))
        ++*text, --*size;
    while (*size > 0 && is_blank((*text)[*size - 1]))
        --*size;
}

/* The value so far is whole: takes it. */
static int end_value(struct parser *parser)
{
    const struct key *key = parser->key;
    if (!key)
        return 0;
    parser->value[parser->value_size] = '\0';
    if (parser->value_size == 0 && !key->may_be_empty)
        return refuse(parser, parser->key_line, "%s has nothing behind its colon", key->name);
    if (key->flag > 0)
        *(bool *)target(parser, key->flag) = parser->step->sets_load = true;
    int r = key->take(parser, key, parser->value);
    parser->key = NULL;
    return r;
}

static void append(struct parser *parser, const char *text, size_t size)
{
    memcpy(parser->value + parser->value_size, text, size);
    parser->value_size += size;
}

/* Chinese has no blanks; but two words of another script must not become one. */
static bool joins_with_blank(const struct parser *parser, char next)
{
    return parser->key->language != LESSON_ZH || (is_ascii(parser->value[parser->value_size - 1]) && is_ascii(next));
}

static int take_continuation(struct parser *parser, const char *text, size_t size)
{
    if (!parser->key)
        return refuse(parser, parser->line, "this line begins with a blank, but there is no value above to go on with");
    if (size == 1 && *text == '.') {
        if (!parser->key->has_paragraphs)
            return refuse(parser, parser->line, "%s has one paragraph only", parser->key->name);
        parser->paragraph_ends = true;
        return 0;
    }
    if (parser->value_size > 0 && parser->paragraph_ends)
        append(parser, "\n", 1);
    else if (parser->value_size > 0 && joins_with_blank(parser, *text))
        append(parser, " ", 1);
    append(parser, text, size);
    parser->paragraph_ends = false;
    return 0;
}

static int begin_value(struct parser *parser, const struct key *key, const char *text, size_t size)
{
    unsigned *line = line_of(parser, key);
    if (key->of_step && !parser->step)
        return refuse(parser, parser->line, "%s belongs to a step: a line 'step:' comes before it", key->name);
    if (!key->of_step && parser->step)
        return refuse(parser, parser->line, "%s belongs before the first step", key->name);
    if (*line > 0 && !key->several)
        return refuse(parser, parser->line, "%s stands in line %u already", key->name, *line);
    *line = parser->key_line = parser->line;
    parser->key = key;
    parser->value_size = 0;
    parser->paragraph_ends = false;
    append(parser, text, size);
    return 0;
}

static int take_key_line(struct parser *parser, const char *text, size_t size)
{
    size_t length = 0;
    while (length < size && strchr("abcdefghijklmnopqrstuvwxyz_.", text[length]))
        length++;
    int r = end_value(parser);
    if (r < 0)
        return r;
    if (length == 0 || length == size || text[length] != ':')
        return refuse(parser, parser->line, "a line is 'key: value', or begins with a blank and goes on with the value "
                      "above");
    const struct key *key = find_key(text, length);
    if (!key)
        return refuse_key(parser, text, length);
    const char *value = text + length + 1;
    size -= length + 1;
    trim(&value, &size);
    if (!is_step(key))
        return begin_value(parser, key, value, size);
    return size == 0 ? begin_step(parser) : refuse(parser, parser->line, "behind 'step:' comes a line of its own");
}

static int check_characters(const struct parser *parser, const char *text, size_t size)
{
    size_t good = whole_characters(text, size);
    if (good == size)
        return 0;
    unsigned char byte = (unsigned char)text[good];
    if (byte < ' ' || byte == 127 || (byte == 0xc2 && good + 1 < size && is_tail((unsigned char)text[good + 1])))
        return refuse(parser, parser->line, "a character that controls, at byte %zu", good + 1);
    return refuse(parser, parser->line, "this is not UTF-8, at byte %zu (0x%02x): save the file as UTF-8", good + 1,
                  byte);
}

static int take_line(struct parser *parser, const char *text, size_t size)
{
    const char *words = text;
    size_t words_size = size;
    int r = check_characters(parser, text, size);
    trim(&words, &words_size);
    if (r < 0 || words_size == 0 || *text == '#')
        return r;
    return is_blank(*text) ? take_continuation(parser, words, words_size) : take_key_line(parser, text, size);
}

/* --- a lesson ----------------------------------------------------------------------------------------------------- */

static int take_lines(struct parser *parser)
{
    int r = 0;
    while (r == 0 && parser->rest < parser->end) {
        const char *text = parser->rest, *end = memchr(text, '\n', (size_t)(parser->end - text));
        size_t size = (size_t)((end ? end : parser->end) - text);
        parser->rest = end ? end + 1 : parser->end;
        parser->line++;
        r = take_line(parser, text, size - (size > 0 && text[size - 1] == '\r'));
    }
    if (r == 0)
        r = end_value(parser);
    if (r == 0)
        r = end_section(parser);
    if (r == 0 && parser->lesson.n_steps == 0)
        r = refuse(parser, parser->line, "the lesson has no steps: each begins with a line 'step:'");
    return r;
}

static int open_parser(struct parser *parser, const char *name, const char *text, size_t size)
{
    static const char mark[] = { '\xef', '\xbb', '\xbf' };
    size_t skipped = size >= sizeof mark && memcmp(text, mark, sizeof mark) == 0 ? sizeof mark : 0;
    if (size > LESSON_SIZE_MAX)
        return refuse(parser, 1, "the lesson is too long: it may have %d bytes", LESSON_SIZE_MAX);
    parser->rest = text + skipped;
    parser->end = text + size;
    parser->value = malloc(size + 1);
    parser->lesson.name = strdup(name);
    return parser->value && parser->lesson.name ? 0 : -ENOMEM;
}

int lesson_parse(const char *name, const char *text, size_t size, struct lesson *ret_lesson, char *why,
                 size_t why_size)
{
    struct parser parser = { .why = why, .why_size = why_size };
    int r = open_parser(&parser, name, text, size);
    if (r == 0)
        r = take_lines(&parser);
    free(parser.value);
    if (r == -ENOMEM)
        snprintf(why, why_size, "there is no memory left");
    if (r == 0)
        *ret_lesson = parser.lesson;
    else
        lesson_free(&parser.lesson);
    return r;
}

static void free_text(struct lesson_text *text)
{
    for (unsigned i = 0; i < LESSON_LANGUAGES; i++)
        free(text->in[i]);
}

void lesson_free(struct lesson *lesson)
{
    for (unsigned i = 0; i < lesson->n_steps; i++) {
        free_text(&lesson->steps[i].text);
        free_text(&lesson->steps[i].ask);
        free_text(&lesson->steps[i].explain);
    }
    free(lesson->steps);
    free_text(&lesson->title);
    free(lesson->source);
    free(lesson->name);
    *lesson = (struct lesson){ .name = NULL };
}

void lesson_apply_load(const struct lesson_step *step, struct order_load *load)
{
    if (step->has_kind)
        load->kind = step->load.kind;
    if (step->has_callers)
        load->callers = step->load.callers;
    if (step->has_rate)
        load->rate = step->load.rate;
    if (step->has_think)
        load->think_ms = step->load.think_ms;
    if (step->has_question)
        memcpy(load->question, step->load.question, sizeof load->question);
}

/* --- a file ------------------------------------------------------------------------------------------------------- */

/* At most `most` bytes: how many. */
static ssize_t read_all(int fd, char *bytes, size_t most)
{
    size_t size = 0;
    ssize_t n = 1;
    while (n != 0 && size < most) {
        n = read(fd, bytes + size, most - size);
        if (n < 0 && errno != EINTR)
            return -errno;
        size += n > 0 ? (size_t)n : 0;
    }
    return (ssize_t)size;
}

static ssize_t read_file(const char *path, char *bytes, size_t most)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t size = read_all(fd, bytes, most);
    close(fd);
    return size;
}

/* NULL: no memory. */
static char *name_of(const char *path)
{
    static const char ending[] = ".lesson";
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t length = strlen(name), end = sizeof ending - 1;
    bool has_ending = length > end && strcmp(name + length - end, ending) == 0;
    return strndup(name, has_ending ? length - end : length);
}

int lesson_read(const char *path, struct lesson *ret_lesson, char *why, size_t why_size)
{
    size_t most = LESSON_SIZE_MAX + 1;      /* one more tells that it is too long */
    char *text = malloc(most), *name = name_of(path);
    ssize_t size = text && name ? read_file(path, text, most) : -ENOMEM;
    if (size < 0)
        snprintf(why, why_size, "it cannot be read: %s", strerror((int)-size));
    int r = size < 0 ? (int)size : lesson_parse(name, text, (size_t)size, ret_lesson, why, why_size);
    free(text);
    free(name);
    return r;
}
