/* Options of handlers. An input is lines, each an option "key=value" or "handler.key=value", for two handlers that have
 * options of every type between them, and `size` both of them. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <switchboard/switchboard.h>

#include "fuzz.h"

enum { LINES_MAX = 64 };

/* --- the handlers ------------------------------------------------------------------------------------------------- */

struct left {
    long limit, any, size;
    bool loud;
    const char *text;
};

struct right {
    bool size;
    const char *mark;
    long below;
};

static const struct sb_option left_options[] = {
    { .name = "limit", .type = SB_OPTION_LONG, .offset = offsetof(struct left, limit), .value = "10", .min = 1,
      .max = 100 },
    { .name = "any", .type = SB_OPTION_LONG, .offset = offsetof(struct left, any) },
    { .name = "size", .type = SB_OPTION_LONG, .offset = offsetof(struct left, size), .max = LONG_MAX },
    { .name = "loud", .type = SB_OPTION_BOOL, .offset = offsetof(struct left, loud), .value = "yes" },
    { .name = "text", .type = SB_OPTION_STRING, .offset = offsetof(struct left, text), .value = "default" },
    { .name = NULL },
};

static const struct sb_option right_options[] = {
    { .name = "size", .type = SB_OPTION_BOOL, .offset = offsetof(struct right, size) },
    { .name = "mark", .type = SB_OPTION_STRING, .offset = offsetof(struct right, mark) },
    { .name = "below", .type = SB_OPTION_LONG, .offset = offsetof(struct right, below), .value = "-1", .min = LONG_MIN,
      .max = -1 },
    SB_FRAME_OPTION,
    { .name = NULL },
};

static const struct {
    const char *name;
    const struct sb_option *options;
} handlers[] = { { "left", left_options }, { "right", right_options } };

/* --- what the lines mean, told without the library ---------------------------------------------------------------- */

struct values {
    struct left left;
    struct right right;
};

static const struct values defaults = {
    .left = { .limit = 10, .loud = true, .text = "default" },
    .right = { .below = -1 },
};

static struct values expected;

static bool read_long(const char *text, const struct sb_option *option, long *ret_number)
{
    text += strspn(text, " \t\n\v\f\r");
    bool negative = *text == '-', limited = option->min != 0 || option->max != 0;
    text += *text == '-' || *text == '+';
    size_t digits = strspn(text, "0123456789"), zeros = strspn(text, "0");
    if (digits == 0 || text[digits] != '\0' || digits - zeros > 19)
        return false;
    __int128 number = 0;
    for (; *text; text++)
        number = number * 10 + (*text - '0');
    number = negative ? -number : number;
    if (number < (limited ? option->min : LONG_MIN) || number > (limited ? option->max : LONG_MAX))
        return false;
    *ret_number = number;
    return true;
}

static bool read_bool(const char *text, bool *ret_truth)
{
    static const char *const yes[] = { "yes", "true", "on", "1" }, *const no[] = { "no", "false", "off", "0" };
    for (int i = 0; i < 4; i++)
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *ret_truth = strcmp(text, yes[i]) == 0;
            return true;
        }
    return false;
}

static bool read_value(const struct sb_option *option, const char *value, void *block)
{
    void *field = (char *)block + option->offset;
    struct sb_framing framing;
    switch (option->type) {
    case SB_OPTION_LONG:
        return read_long(value, option, field);
    case SB_OPTION_BOOL:
        return read_bool(value, field);
    case SB_OPTION_STRING:
        *(const char **)field = value;
        return true;
    default:
        return sb_framing_parse(value, &framing, NULL) == 0;
    }
}

static bool is_key(const char *key, size_t length, const char *handler, const char *option)
{
    char dotted[64];
    snprintf(dotted, sizeof dotted, "%s.%s", handler, option);
    return (strlen(option) == length && memcmp(option, key, length) == 0) ||
           (strlen(dotted) == length && memcmp(dotted, key, length) == 0);
}

static bool read_line(const char *line)
{
    const char *equals = strchr(line, '=');
    const struct sb_option *found = NULL;
    void *block = NULL;
    unsigned count = 0;
    for (int i = 0; equals && i < 2; i++)
        for (const struct sb_option *option = handlers[i].options; option->name; option++)
            if (is_key(line, equals - line, handlers[i].name, option->name)) {
                found = option;
                block = i == 0 ? (void *)&expected.left : (void *)&expected.right;
                count++;
            }
    return count == 1 && read_value(found, equals + 1, block);
}

/* --- what the library makes of them ------------------------------------------------------------------------------- */

static unsigned sentences, lefts, rights, releases;

static void count_sentence(void *data, enum sb_log_level level, const char *text)
{
    (void)data;
    REQUIRE(level == SB_LOG_ERROR && text[0]);
    sentences++;
}

static bool is_same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static int configure_left(struct sb_server *server, void *options)
{
    const struct left *values = options;
    (void)server;
    REQUIRE(values->limit == expected.left.limit && values->any == expected.left.any);
    REQUIRE(values->size == expected.left.size && values->loud == expected.left.loud);
    REQUIRE(is_same(values->text, expected.left.text));
    lefts++;
    return 0;
}

/* Far enough: nothing behind it depends on options. */
static int configure_right(struct sb_server *server, void *options)
{
    const struct right *values = options;
    (void)server;
    REQUIRE(values->size == expected.right.size && values->below == expected.right.below);
    REQUIRE(is_same(values->mark, expected.right.mark));
    rights++;
    return -ECANCELED;
}

static void release(void *options)
{
    REQUIRE(is_same(((struct left *)options)->text, expected.left.text));
    releases++;
}

static int handle(struct sb_request *request)
{
    (void)request;
    return 0;
}

static const struct sb_handler left = {
    .abi_version = SB_ABI_VERSION, .struct_size = sizeof left, .name = "left", .handle = handle,
    .options_size = sizeof(struct left), .options = left_options, .configure = configure_left, .release = release,
};

static const struct sb_handler right = {
    .abi_version = SB_ABI_VERSION, .struct_size = sizeof right, .name = "right", .handle = handle,
    .options_size = sizeof(struct right), .options = right_options, .configure = configure_right, .release = release,
};

static void check(const char *const *lines)
{
    struct sb_server *server = NULL;
    struct sb_config config = SB_CONFIG_DEFAULTS;
    bool valid = true;
    config.options = lines;
    config.log = count_sentence;
    expected = defaults;
    sentences = lefts = rights = releases = 0;
    for (const char *const *line = lines; valid && *line; line++)
        valid = read_line(*line);
    int r = sb_server_create(NULL, "127.0.0.1:0", SB_HANDLERS(&left, &right), &config, &server);
    REQUIRE(r == (valid ? -ECANCELED : -EINVAL) && !server);
    REQUIRE(sentences == !valid && lefts == valid && rights == valid && releases == valid);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *lines[LINES_MAX + 1] = { NULL };
    char *text = strndup((const char *)data, size), *rest = text, *line;
    for (int i = 0; i < LINES_MAX && (line = strsep(&rest, "\n")) != NULL; i++)
        lines[i] = line;
    if (size == 0)
        lines[0] = NULL;
    check(lines);
    free(text);
    return 0;
}
