#include "class_list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int refuse(const struct sb_class_list *list, const char *why)
{
    sb_log_line(list->log, SB_LOG_ERROR, "the strategy '%s' makes no sense: %s",
                list->text ? list->text : "of this type", why);
    return -EINVAL;
}

static int add_class(struct sb_class_list *list, const struct sb_class *class_, const char *argument)
{
    if (list->n == MAX_CLASSES - 1)
        return refuse(list, "the list is too long");
    list->classes[list->n] = class_;
    list->arguments[list->n++] = argument;
    return 0;
}

static const struct sb_class *find_strategy(const struct sb_registry *registry, const char *name)
{
    for (const struct sb_class *const *class_ = registry->strategies; *class_; class_++)
        if (strcmp((*class_)->name, name) == 0)
            return *class_;
    return NULL;
}

static int unknown_strategy(const struct sb_class_list *list, const char *name)
{
    const struct sb_class *const *strategies = list->registry->strategies;
    char names[256] = "";
    for (const struct sb_class *const *class_ = strategies; *class_; class_++) {
        strcat(names, class_ == strategies ? "" : ", ");
        strcat(names, (*class_)->name);
    }
    sb_log_line(list->log, SB_LOG_ERROR, "there is no strategy '%s'; there are %s, and ./FILE.so for one of your own",
                  name, names);
    return -EINVAL;
}

static int add_plugin_class(struct sb_class_list *list, const char *file, const char *argument)
{
    const struct sb_class *class_;
    char *why;
    int r = sb_plugin_load_class(file, &class_, &why);
    if (r == 0)
        return add_class(list, class_, argument);
    sb_log_line(list->log, SB_LOG_ERROR, "cannot load the strategy %s: %s", file, why ? why : strerror(-r));
    free(why);
    return r;
}

/* One item of the list: NAME, NAME:ARGUMENT or FILE[:ARGUMENT]. */
static int add_word(struct sb_class_list *list, char *word)
{
    char *base = strrchr(word, '/'), *colon = strchr(base ? base : word, ':');
    if (colon)
        *colon++ = '\0';
    if (base)
        return add_plugin_class(list, word, colon);
    if (word[0] == '\0')
        return refuse(list, "a name is missing between the plus signs");
    const struct sb_class *class_ = find_strategy(list->registry, word);
    return class_ ? add_class(list, class_, colon) : unknown_strategy(list, word);
}

static int add_words(struct sb_class_list *list, const char *text)
{
    char *rest = list->words = strdup(text), *word;
    if (!rest)
        return -ENOMEM;
    while ((word = strsep(&rest, "+")) != NULL) {
        int r = add_word(list, word);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The names of a list that no text named: "thread" for { &sb_threading_mixin, &sb_tcp_class }. */
static char *name_list(const struct sb_class *const *classes, unsigned n, const char *text)
{
    if (n == 0)
        return strdup(text ? text : "serial");
    size_t size = (text ? strlen(text) : 0) + 1;
    for (unsigned i = 0; i < n; i++)
        size += strlen(classes[i]->name) + 1;
    char *names = calloc(1, size), *end = names;
    for (unsigned i = 0; names && i < n; i++)
        end = stpcpy(stpcpy(end, i > 0 ? "+" : ""), classes[i]->name);
    if (names && text)
        stpcpy(stpcpy(end, "+"), text);
    return names;
}

static int add_type(struct sb_class_list *list, const struct sb_class *const *type)
{
    for (; type && *type; type++) {
        if ((*type)->traits & SB_FAMILY) {
            list->family = type;
            return 0;
        }
        int r = add_class(list, *type, NULL);
        if (r < 0)
            return r;
    }
    return 0;
}

/* --- what makes sense --------------------------------------------------------------------------------------------- */

static int refuse_order(const struct sb_class_list *list, const struct sb_class *left, const struct sb_class *right)
{
    char why[160];
    snprintf(why, sizeof why, "workers come first, then what each of them does with a request: write %s+%s, not %s+%s",
             right->name, left->name, left->name, right->name);
    return refuse(list, why);
}

static int check_pair(const struct sb_class_list *list, const struct sb_class *left, const struct sb_class *right)
{
    if (left == right)
        return refuse(list, "a strategy stands in it twice");
    if ((left->traits & SB_DISPATCHES) && (right->traits & SB_DISPATCHES))
        return refuse(list, "two strategies in it both decide who handles a request; keep one");
    if ((left->traits & SB_DISPATCHES) && (right->traits & SB_LOOPS))
        return refuse_order(list, left, right);
    if ((left->traits & SB_CONCURRENT) && (right->traits & SB_FORKS))
        return refuse(list, "a process with threads cannot fork safely: processes come first, prefork+prethread");
    const struct sb_class *serial = list->registry->strategies[0];
    if (left == serial || right == serial)
        return refuse(list, "serial stands alone: it is what remains when no strategy is named");
    return 0;
}

static int check(const struct sb_class_list *list)
{
    for (unsigned i = 0; i < list->n; i++)
        for (unsigned j = i + 1; j < list->n; j++) {
            int r = check_pair(list, list->classes[i], list->classes[j]);
            if (r < 0)
                return r;
        }
    return 0;
}

int sb_class_list_read(struct sb_class_list *list, const struct sb_class *const *type, const char *text)
{
    int r = add_type(list, type);
    list->text = name_list(list->classes, list->n, text);
    if (!list->text)
        return -ENOMEM;
    if (r == 0 && text)
        r = add_words(list, text);
    return r < 0 ? r : check(list);
}

void sb_class_list_finish(struct sb_class_list *list)
{
    free(list->words);
    free(list->text);
}
