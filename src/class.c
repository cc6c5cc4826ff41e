#include "objects.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define METHODS(X)                                                                                         \
    X(server_bind) X(server_activate) X(get_request) X(serve_forever) X(verify_request) X(process_request) \
    X(finish_request) X(shutdown_request) X(close_request) X(handle_error) X(handle_timeout)               \
    X(service_actions) X(server_close) X(wait)

const struct sb_class sb_serial_class = {
    .name = "serial",
    .summary = "one request after the other, in the loop itself",
};

const struct sb_class *const sb_strategies[] = {
    &sb_serial_class, &sb_threading_mixin, &sb_forking_mixin, &sb_pool_mixin, &sb_prefork_mixin, &sb_prethread_mixin,
    &sb_fiber_mixin, NULL,
};

#define TCP &sb_tcp_class
#define UDP &sb_udp_class, TCP
#define UNIX_STREAM &sb_unix_stream_class, TCP
#define UNIX_DATAGRAM &sb_unix_datagram_class, UDP
#define TYPE(name, ...) const struct sb_class *const name[] = { __VA_ARGS__, NULL };
#define TYPES(prefix, mixin)                                                                               \
    TYPE(sb_##prefix##_tcp_server, mixin, TCP)                                                             \
    TYPE(sb_##prefix##_udp_server, mixin, UDP)                                                             \
    TYPE(sb_##prefix##_unix_stream_server, mixin, UNIX_STREAM)                                             \
    TYPE(sb_##prefix##_unix_datagram_server, mixin, UNIX_DATAGRAM)

TYPE(sb_tcp_server, TCP)
TYPE(sb_udp_server, UDP)
TYPE(sb_unix_stream_server, UNIX_STREAM)
TYPE(sb_unix_datagram_server, UNIX_DATAGRAM)
TYPES(threading, &sb_threading_mixin)
TYPES(forking, &sb_forking_mixin)
TYPES(pool, &sb_pool_mixin)
TYPES(prefork, &sb_prefork_mixin)
TYPES(prethread, &sb_prethread_mixin)
TYPES(fiber, &sb_fiber_mixin)

const struct sb_class *const *sb_family_find(const char *scheme)
{
    static const struct sb_class *const *const families[] = {
        sb_tcp_server, sb_udp_server, sb_unix_stream_server, sb_unix_datagram_server,
    };
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (strcmp(families[i][0]->name, scheme) == 0)
            return families[i];
    return NULL;
}

static void inherit(struct sb_class *table, const struct sb_class *front)
{
    table->name = front->name;
    table->traits |= front->traits;
#define OVERRIDE(method) if (front->method) table->method = front->method;
    METHODS(OVERRIDE)
#undef OVERRIDE
}

void sb_class_resolve(const struct sb_class *const *list, unsigned n, struct sb_class *ret_table)
{
    memset(ret_table, 0, sizeof *ret_table);
    while (n-- > 0)
        inherit(ret_table, list[n]);
}

/* --- reading a list ----------------------------------------------------------------------------------------------- */

static int refuse(struct sb_server *server, const char *why)
{
    sb_server_log(server, SB_LOG_ERROR, "the strategy '%s' makes no sense: %s", server->strategy, why);
    return -EINVAL;
}

static int add_class(struct sb_server *server, const struct sb_class *class_, const char *argument)
{
    if (server->n_classes == MAX_CLASSES - 1)
        return refuse(server, "the list is too long");
    server->classes[server->n_classes] = class_;
    server->arguments[server->n_classes++] = argument;
    return 0;
}

static const struct sb_class *find_strategy(const char *name)
{
    for (const struct sb_class *const *class_ = sb_strategies; *class_; class_++)
        if (strcmp((*class_)->name, name) == 0)
            return *class_;
    return NULL;
}

static int unknown_strategy(struct sb_server *server, const char *name)
{
    char names[256] = "";
    for (const struct sb_class *const *class_ = sb_strategies; *class_; class_++) {
        strcat(names, class_ == sb_strategies ? "" : ", ");
        strcat(names, (*class_)->name);
    }
    sb_server_log(server, SB_LOG_ERROR, "there is no strategy '%s'; there are %s, and ./FILE.so for one of your own",
                  name, names);
    return -EINVAL;
}

static int add_plugin_class(struct sb_server *server, const char *file, const char *argument)
{
    const struct sb_class *class_;
    char *why;
    int r = sb_plugin_load_class(file, &class_, &why);
    if (r == 0)
        return add_class(server, class_, argument);
    sb_server_log(server, SB_LOG_ERROR, "cannot load the strategy %s: %s", file, why ? why : strerror(-r));
    free(why);
    return r;
}

/* One item of the list: NAME, NAME:ARGUMENT or FILE[:ARGUMENT]. */
static int add_word(struct sb_server *server, char *word)
{
    char *base = strrchr(word, '/'), *colon = strchr(base ? base : word, ':');
    if (colon)
        *colon++ = '\0';
    if (base)
        return add_plugin_class(server, word, colon);
    if (word[0] == '\0')
        return refuse(server, "a name is missing between the plus signs");
    const struct sb_class *class_ = find_strategy(word);
    return class_ ? add_class(server, class_, colon) : unknown_strategy(server, word);
}

static int add_words(struct sb_server *server, const char *text)
{
    server->strategy_words = strdup(text);
    if (!server->strategy_words)
        return -ENOMEM;
    char *rest = server->strategy_words, *word;
    while ((word = strsep(&rest, "+")) != NULL) {
        int r = add_word(server, word);
        if (r < 0)
            return r;
    }
    return 0;
}

/* --- what makes sense --------------------------------------------------------------------------------------------- */

static int refuse_order(struct sb_server *server, const struct sb_class *left, const struct sb_class *right)
{
    char why[160];
    snprintf(why, sizeof why, "workers come first, then what each of them does with a request: write %s+%s, not %s+%s",
             right->name, left->name, left->name, right->name);
    return refuse(server, why);
}

static int check_pair(struct sb_server *server, const struct sb_class *left, const struct sb_class *right)
{
    if (left == right)
        return refuse(server, "a strategy stands in it twice");
    if ((left->traits & SB_DISPATCHES) && (right->traits & SB_DISPATCHES))
        return refuse(server, "two strategies in it both decide who handles a request; keep one");
    if ((left->traits & SB_DISPATCHES) && (right->traits & SB_LOOPS))
        return refuse_order(server, left, right);
    if ((left->traits & SB_CONCURRENT) && (right->traits & SB_FORKS))
        return refuse(server, "a process with threads cannot fork safely: processes come first, prefork+prethread");
    if (left == &sb_serial_class || right == &sb_serial_class)
        return refuse(server, "serial stands alone: it is what remains when no strategy is named");
    return 0;
}

static int check_list(struct sb_server *server)
{
    for (unsigned i = 0; i < server->n_classes; i++)
        for (unsigned j = i + 1; j < server->n_classes; j++) {
            int r = check_pair(server, server->classes[i], server->classes[j]);
            if (r < 0)
                return r;
        }
    return 0;
}

static int check_discipline(struct sb_server *server)
{
    enum sb_discipline accept = server->config.accept;
    const char *why = NULL;
    if (accept != SB_ACCEPT_SHARED && !(server->traits & SB_LOOPS))
        why = "it needs workers that share a listener: prefork or prethread";
    else if (server->forks_requests && (accept == SB_ACCEPT_MUTEX || accept == SB_ACCEPT_FLOCK))
        why = "a worker that waits for its turn could not wait for its children; choose shared or pass";
    else if ((server->traits & SB_YIELDS) && (accept == SB_ACCEPT_MUTEX || accept == SB_ACCEPT_FLOCK))
        why = "a loop that waits for its turn could not run its requests meanwhile; choose shared, pass or reuseport";
    if (!why)
        return 0;
    sb_server_log(server, SB_LOG_ERROR, "the accept discipline '%s' does not suit '%s': %s", sb_discipline_name(accept),
                  server->strategy, why);
    return -EINVAL;
}

/* --- the resolved server ------------------------------------------------------------------------------------------ */

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

static int add_type(struct sb_server *server, const struct sb_class *const *type)
{
    for (; type && *type; type++) {
        if ((*type)->traits & SB_FAMILY) {
            server->family = type;
            return 0;
        }
        int r = add_class(server, *type, NULL);
        if (r < 0)
            return r;
    }
    return 0;
}

static int allocate_states(struct sb_server *server)
{
    for (unsigned i = 0; i < server->n_classes; i++) {
        size_t size = server->classes[i]->state_size;
        if (size != 0 && !(server->states[i] = calloc(1, size)))
            return -ENOMEM;
    }
    return 0;
}

static void resolve_supers(struct sb_server *server)
{
    for (unsigned i = 0; i < server->n_classes; i++) {
        sb_class_resolve(&server->classes[i], server->n_classes - i, &server->supers[i]);
        unsigned traits = server->classes[i]->traits;
        server->traits |= traits;
        server->forks_requests |= (traits & SB_FORKS) && (traits & SB_DISPATCHES);
    }
}

int sb_classes_init(struct sb_server *server, const struct sb_class *const *type)
{
    int r = add_type(server, type);
    const char *text = server->config.strategy;
    server->strategy = name_list(server->classes, server->n_classes, text);
    if (!server->strategy)
        return -ENOMEM;
    if (r == 0 && text)
        r = add_words(server, text);
    if (r == 0)
        r = check_list(server);
    if (r < 0)
        return r;
    server->classes[server->n_classes++] = &sb_base_class;
    resolve_supers(server);
    r = check_discipline(server);
    return r < 0 ? r : allocate_states(server);
}

int sb_classes_start(struct sb_server *server)
{
    for (unsigned i = server->n_classes; i-- > 0;) {
        const struct sb_class *class_ = server->classes[i];
        if (server->arguments[i] && !class_->init) {
            sb_server_log(server, SB_LOG_ERROR, "the strategy '%s' takes no argument, but got '%s'", class_->name,
                          server->arguments[i]);
            return -EINVAL;
        }
        int r = class_->init ? class_->init(server, server->arguments[i]) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

void sb_classes_finish(struct sb_server *server)
{
    for (unsigned i = 0; i < server->n_classes; i++) {
        const struct sb_class *class_ = server->classes[i];
        if (class_->finish && (server->states[i] || class_->state_size == 0))
            class_->finish(server);
        free(server->states[i]);
    }
    free(server->strategy_words);
    free(server->strategy);
}

static unsigned position(const struct sb_server *server, const struct sb_class *self)
{
    unsigned i = 0;
    while (i < server->n_classes && server->classes[i] != self)
        i++;
    return i;
}

const struct sb_class *sb_super(const struct sb_server *server, const struct sb_class *self)
{
    unsigned i = position(server, self);
    return i + 1 < server->n_classes ? &server->supers[i + 1] : &server->supers[server->n_classes - 1];
}

void *sb_state(const struct sb_server *server, const struct sb_class *self)
{
    unsigned i = position(server, self);
    return i < server->n_classes ? server->states[i] : NULL;
}

const char *sb_server_strategy(const struct sb_server *server)
{
    return server->strategy;
}

int sb_parse_count(struct sb_server *server, const struct sb_class *self, const char *argument, int fallback, int max)
{
    if (!argument)
        return fallback;
    char *end;
    long count = strtol(argument, &end, 10);
    if (argument[0] >= '0' && argument[0] <= '9' && *end == '\0' && count >= 1 && count <= max)
        return (int)count;
    sb_server_log(server, SB_LOG_ERROR, "the strategy '%s:%s' is wrong: the number of workers must be from 1 to %d",
                  self->name, argument, max);
    return -EINVAL;
}
