#include "wish.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../arguments.h"

#define WORKERS_MAX 10000

/* --- one of them -------------------------------------------------------------------------------------------------- */

void wish_free(struct wish *wish)
{
    if (!wish)
        return;
    for (char **option = wish->options; *option; option++)
        free(*option);
    free(wish->strategy);
    free(wish->handler);
    free(wish);
}

static struct wish *make(const char *strategy, enum sb_discipline accept, const char *handler)
{
    struct wish *wish = calloc(1, sizeof *wish);
    if (!wish)
        return NULL;
    wish->accept = accept;
    wish->strategy = strdup(strategy);
    wish->handler = strdup(handler);
    if (wish->strategy && wish->handler)
        return wish;
    wish_free(wish);
    return NULL;
}

/* "greeting" of "greeting=hello" and "upper.greeting" of "upper.greeting=hello" are names. */
static bool is_same_option(const char *one, const char *other)
{
    size_t length = strcspn(one, "=");
    return strncmp(one, other, length) == 0 && other[length] == '=';
}

/* False: no memory, or no room. */
static bool set_option(struct wish *wish, const char *option, bool replaces)
{
    char **place = wish->options;
    char *copy = strdup(option);
    while (*place && !(replaces && is_same_option(*place, option)))
        place++;
    if (!copy || place == wish->options + SERVE_ITEMS_MAX) {
        free(copy);
        return false;
    }
    free(*place);
    *place = copy;
    return true;
}

static bool set_options(struct wish *wish, const char *const *options, bool replace)
{
    bool set = true;
    for (; set && *options; options++)
        set = set_option(wish, *options, replace);
    return set;
}

struct wish *wish_new(const struct serve_arguments *arguments)
{
    struct wish *wish = make(arguments->config.strategy, arguments->config.accept, arguments->handler);
    if (wish && set_options(wish, arguments->options, false))
        return wish;
    wish_free(wish);
    return NULL;
}

void wish_apply(const struct wish *wish, struct serve_arguments *arguments)
{
    arguments->config.strategy = wish->strategy;
    arguments->config.accept = wish->accept;
    arguments->handler = wish->handler;
    for (int i = 0; i <= SERVE_ITEMS_MAX; i++)
        arguments->options[i] = wish->options[i];
    arguments->config.options = arguments->options;
}

/* --- a worker more or less ---------------------------------------------------------------------------------------- */

static const struct sb_class *find_counted(const char *item, size_t length)
{
    size_t name = strcspn(item, ":");
    name = name < length ? name : length;
    for (const struct sb_class *const *class_ = sb_strategies; *class_; class_++)
        if ((*class_)->workers > 0 && strlen((*class_)->name) == name && strncmp((*class_)->name, item, name) == 0)
            return *class_;
    return NULL;
}

/* The first item of a list that has a number of workers, or NULL. */
static const char *find_item(const char *list, const struct sb_class **ret_class)
{
    for (;;) {
        size_t length = strcspn(list, "+");
        *ret_class = find_counted(list, length);
        if (*ret_class)
            return list;
        if (list[length] == '\0')
            return NULL;
        list += length + 1;
    }
}

/* "prefork:4+thread" and "+1" to "prefork:5+thread". NULL, with a sentence in why. */
static char *change_workers(const char *list, const char *workers, char *why, size_t why_size)
{
    const struct sb_class *class_;
    const char *item = find_item(list, &class_);
    long long number, count;
    char *changed;
    if (!item) {
        snprintf(why, why_size, "the strategy %s has no number of workers", list);
        return NULL;
    }
    size_t length = strcspn(item, "+"), name = strlen(class_->name);
    count = item[name] == ':' ? atoll(item + name + 1) : class_->workers;
    if (!argument_is_whole(workers, -WORKERS_MAX, WORKERS_MAX, &number)) {
        snprintf(why, why_size, "--workers=%s: it must be a number, or + or - and a number", workers);
        return NULL;
    }
    count = workers[0] == '+' || workers[0] == '-' ? count + number : number;
    if (count < 1 || count > WORKERS_MAX) {
        snprintf(why, why_size, "%s would have %lld workers: it can have from 1 to %d", class_->name, count,
                 WORKERS_MAX);
        return NULL;
    }
    if (asprintf(&changed, "%.*s%s:%lld%s", (int)(item - list), list, class_->name, count, item + length) >= 0)
        return changed;
    snprintf(why, why_size, "out of memory");
    return NULL;
}

/* --- the next one ------------------------------------------------------------------------------------------------- */

static struct wish *combine(const struct wish *wish, const struct wish_change *change, const char *strategy,
                            enum sb_discipline accept)
{
    const char *handler = change->handler ? change->handler : wish->handler;
    bool keeps_options = strcmp(handler, wish->handler) == 0;
    struct wish *next = make(strategy, accept, handler);
    if (next && (!keeps_options || set_options(next, (const char *const *)wish->options, false)) &&
        set_options(next, change->options, true))
        return next;
    wish_free(next);
    return NULL;
}

struct wish *wish_next(const struct wish *wish, const struct wish_change *change, char *why, size_t why_size)
{
    const char *list = change->strategy ? change->strategy : wish->strategy;
    int accept = change->accept ? sb_discipline_parse(change->accept) : (int)wish->accept;
    if (accept < 0) {
        snprintf(why, why_size, "--accept=%s: it must be shared, mutex, flock, pass or reuseport", change->accept);
        return NULL;
    }
    char *strategy = change->workers ? change_workers(list, change->workers, why, why_size) : strdup(list);
    if (!strategy && change->workers)
        return NULL;
    struct wish *next = strategy ? combine(wish, change, strategy, accept) : NULL;
    if (!next)
        snprintf(why, why_size, "out of memory, or more than %d options", SERVE_ITEMS_MAX);
    free(strategy);
    return next;
}
