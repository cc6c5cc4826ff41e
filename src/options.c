#include "options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int bad_value(struct sb_server *server, const struct sb_handler *handler, const struct sb_option *option,
                     const char *value, const char *why)
{
    sb_server_log(server, SB_LOG_ERROR, "handler %s: the option %s=%s is wrong: %s", handler->name, option->name, value,
                  why);
    return -EINVAL;
}

static int parse_bool(const char *value)
{
    static const char *const words[] = { "no", "yes", "false", "true", "off", "on", "0", "1" };
    for (int i = 0; i < 8; i++)
        if (strcmp(value, words[i]) == 0)
            return i % 2;
    return -EINVAL;
}

static int set_long(struct sb_server *server, const struct sb_handler *handler, const struct sb_option *option,
                    const char *value, long *field)
{
    char *end, why[96];
    errno = 0;
    long number = strtol(value, &end, 10);
    if (end == value || *end != '\0' || errno != 0)
        return bad_value(server, handler, option, value, "it must be a whole number");
    if ((option->min != 0 || option->max != 0) && (number < option->min || number > option->max)) {
        snprintf(why, sizeof why, "it must be from %ld to %ld", option->min, option->max);
        return bad_value(server, handler, option, value, why);
    }
    *field = number;
    return 0;
}

static int set_bool(struct sb_server *server, const struct sb_handler *handler, const struct sb_option *option,
                    const char *value, bool *field)
{
    int truth = parse_bool(value);
    if (truth < 0)
        return bad_value(server, handler, option, value, "it must be yes or no");
    *field = truth;
    return 0;
}

static int set_string(const char *value, char **field)
{
    char *copy = strdup(value);
    if (!copy)
        return -ENOMEM;
    free(*field);
    *field = copy;
    return 0;
}

static int set_frame(struct sb_server *server, const struct sb_handler *handler, const struct sb_option *option,
                     const char *value)
{
    const char *why;
    int r = sb_framing_parse(value, &server->attributes.framing, &why);
    return r < 0 ? bad_value(server, handler, option, value, why) : 0;
}

static int set_option(struct sb_server *server, struct sb_options *options, const struct sb_option *option,
                      const char *value)
{
    void *field = options->block ? (char *)options->block + option->offset : NULL;
    switch (option->type) {
    case SB_OPTION_LONG:
        return set_long(server, options->handler, option, value, field);
    case SB_OPTION_BOOL:
        return set_bool(server, options->handler, option, value, field);
    case SB_OPTION_STRING:
        return set_string(value, field);
    case SB_OPTION_FRAME:
        return set_frame(server, options->handler, option, value);
    }
    return -EINVAL;
}

static const struct sb_option *find_option(const struct sb_handler *handler, const char *name, size_t length)
{
    for (const struct sb_option *option = handler->options; option && option->name; option++)
        if (strlen(option->name) == length && strncmp(option->name, name, length) == 0)
            return option;
    return NULL;
}

static bool names_handler(const char *text, const char *dot, const struct sb_handler *handler)
{
    size_t length = dot - text;
    return strlen(handler->name) == length && strncmp(handler->name, text, length) == 0;
}

static int unknown_option(struct sb_server *server, const struct sb_options *list, unsigned n, const char *handlers,
                          const char *name, int length)
{
    char known[512] = "";
    for (unsigned i = 0; i < n; i++)
        for (const struct sb_option *option = list[i].handler->options; option && option->name; option++) {
            size_t used = strlen(known);
            snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "it has ", option->name);
        }
    sb_server_log(server, SB_LOG_ERROR, "the handler %s has no option '%.*s': %s", handlers, length, name,
                  known[0] ? known : "it has none");
    return -EINVAL;
}

/* The one handler of the list that has the option of KEY=VALUE or HANDLER.KEY=VALUE. */
static int find_owner(struct sb_server *server, struct sb_options *list, unsigned n, const char *text,
                      struct sb_options **ret_owner)
{
    const char *equals = strchr(text, '='), *dot = memchr(text, '.', equals - text), *key = dot ? dot + 1 : text;
    int length = equals - key;
    struct sb_options *found = NULL;
    for (unsigned i = 0; i < n; i++) {
        if ((dot && !names_handler(text, dot, list[i].handler)) || !find_option(list[i].handler, key, length))
            continue;
        if (found) {
            const char *first = found->handler->name, *second = list[i].handler->name;
            sb_server_log(server, SB_LOG_ERROR, "both %s and %s have an option %.*s: write %s.%.*s or %s.%.*s", first,
                          second, length, key, first, length, key, second, length, key);
            return -EINVAL;
        }
        found = &list[i];
    }
    *ret_owner = found;
    return 0;
}

int sb_options_set(struct sb_server *server, struct sb_options *list, unsigned n, const char *handlers,
                   const char *text)
{
    const char *equals = strchr(text, '=');
    if (!equals) {
        sb_server_log(server, SB_LOG_ERROR, "the option '%s' must be written KEY=VALUE", text);
        return -EINVAL;
    }
    struct sb_options *owner = NULL;
    int r = find_owner(server, list, n, text, &owner);
    if (r < 0)
        return r;
    if (!owner)
        return unknown_option(server, list, n, handlers, text, equals - text);
    const char *dot = memchr(text, '.', equals - text), *key = dot ? dot + 1 : text;
    return set_option(server, owner, find_option(owner->handler, key, equals - key), equals + 1);
}

static size_t option_size(enum sb_option_type type)
{
    static const size_t sizes[] = { [SB_OPTION_LONG] = sizeof(long), [SB_OPTION_BOOL] = sizeof(bool),
                                    [SB_OPTION_STRING] = sizeof(char *), [SB_OPTION_FRAME] = 0 };
    return sizes[type];
}

static int check_block(struct sb_server *server, const struct sb_handler *handler, const struct sb_option *option)
{
    size_t size = option_size(option->type);
    if (size == 0)
        return 0;
    if (handler->options_size >= size && option->offset <= handler->options_size - size)
        return 0;
    sb_server_log(server, SB_LOG_ERROR, "handler %s: its option %s lies outside its options block: options_size must "
                  "be the block's sizeof", handler->name, option->name);
    return -ENOEXEC;
}

int sb_options_init(struct sb_server *server, struct sb_options *options)
{
    for (const struct sb_option *option = options->handler->options; option && option->name; option++)
        if (check_block(server, options->handler, option) < 0)
            return -ENOEXEC;
    if (options->handler->options_size != 0 && !(options->block = calloc(1, options->handler->options_size)))
        return -ENOMEM;
    for (const struct sb_option *option = options->handler->options; option && option->name; option++) {
        int r = option->value ? set_option(server, options, option, option->value) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

void sb_options_finish(struct sb_options *options)
{
    for (const struct sb_option *option = options->handler->options; option && option->name; option++)
        if (option->type == SB_OPTION_STRING && options->block)
            free(*(char **)((char *)options->block + option->offset));
    free(options->block);
}
