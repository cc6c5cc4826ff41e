#include "classes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define METHODS(X)                                                                                         \
    X(server_bind) X(server_activate) X(get_request) X(serve_forever) X(verify_request) X(process_request) \
    X(finish_request) X(shutdown_request) X(close_request) X(handle_error) X(handle_timeout)               \
    X(service_actions) X(server_close) X(wait)

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
                  server->classes->list.text, why);
    return -EINVAL;
}

static int allocate_states(struct sb_classes *classes)
{
    for (unsigned i = 0; i < classes->list.n; i++) {
        size_t size = classes->list.classes[i]->state_size;
        if (size != 0 && !(classes->states[i] = calloc(1, size)))
            return -ENOMEM;
    }
    return 0;
}

static void lay_out_requests(struct sb_classes *classes)
{
    classes->request_size = sizeof(struct sb_request);
    for (unsigned i = 0; i < classes->list.n; i++) {
        size_t size = classes->list.classes[i]->request_size;
        classes->request_offsets[i] = size ? classes->request_size : 0;
        classes->request_size += (size + 15) / 16 * 16;
    }
}

static void resolve_supers(struct sb_server *server)
{
    struct sb_classes *classes = server->classes;
    for (unsigned i = 0; i < classes->list.n; i++) {
        sb_class_resolve(&classes->list.classes[i], classes->list.n - i, &classes->supers[i]);
        unsigned traits = classes->list.classes[i]->traits;
        server->traits |= traits;
        server->forks_requests |= (traits & SB_FORKS) && (traits & SB_DISPATCHES);
    }
    server->methods = &classes->supers[0];
}

/* --- from a class to its place ------------------------------------------------------------------------------------ */

static unsigned slot_of(const struct sb_class_index *index, const struct sb_class *self)
{
    return (uintptr_t)self * index->multiplier >> 58;
}

static bool try_index(struct sb_classes *classes, uint64_t multiplier)
{
    struct sb_class_index *index = &classes->index;
    *index = (struct sb_class_index){ .multiplier = multiplier };
    memset(index->places, MAX_CLASSES - 1, sizeof index->places);
    for (unsigned i = 0; i < classes->list.n; i++) {
        unsigned slot = slot_of(index, classes->list.classes[i]);
        if (index->places[slot] != MAX_CLASSES - 1)
            return false;
        index->places[slot] = i;
    }
    return true;
}

/* Any odd number is as good as another; of them about one in seven suits the longest list. */
static void make_index(struct sb_classes *classes)
{
    uint64_t multiplier = UINT64_C(0x9e3779b97f4a7c15);
    while (!try_index(classes, multiplier))
        multiplier = multiplier * UINT64_C(6364136223846793005) + 2;
}

/* The list's length for a class that is not in it. */
static unsigned position(const struct sb_classes *classes, const struct sb_class *self)
{
    unsigned place = classes->index.places[slot_of(&classes->index, self)];
    return classes->list.classes[place] == self ? place : classes->list.n;
}

const struct sb_class *sb_super(const struct sb_server *server, const struct sb_class *self)
{
    const struct sb_classes *classes = server->classes;
    unsigned i = position(classes, self);
    return &classes->supers[i + 1 < classes->list.n ? i + 1 : classes->list.n - 1];
}

void *sb_state(const struct sb_server *server, const struct sb_class *self)
{
    unsigned i = position(server->classes, self);
    return i < server->classes->list.n ? server->classes->states[i] : NULL;
}

void *sb_request_state(struct sb_request *request, const struct sb_class *self)
{
    const struct sb_classes *classes = request->server->classes;
    unsigned i = position(classes, self);
    size_t offset = i < classes->list.n ? classes->request_offsets[i] : 0;
    return offset ? (char *)request + offset : NULL;
}

bool sb_classes_override_get_request(const struct sb_server *server)
{
    return server->methods->get_request != server->registry->base->get_request;
}

/* --- their life --------------------------------------------------------------------------------------------------- */

int sb_classes_create(struct sb_server *server, const struct sb_class *const *type)
{
    struct sb_classes *classes = server->classes = calloc(1, sizeof *classes);
    if (!classes)
        return -ENOMEM;
    classes->list.log = &server->log;
    classes->list.registry = server->registry;
    int r = sb_class_list_read(&classes->list, type, server->config.strategy);
    if (r < 0)
        return r;
    server->family = classes->list.family;
    classes->list.classes[classes->list.n++] = server->registry->base;
    resolve_supers(server);
    lay_out_requests(classes);
    make_index(classes);
    r = check_discipline(server);
    return r < 0 ? r : allocate_states(classes);
}

void sb_classes_begin(struct sb_server *server)
{
    const struct sb_classes *classes = server->classes;
    for (unsigned i = classes->list.n; i-- > 0;)
        if (classes->list.classes[i]->begin)
            classes->list.classes[i]->begin(server);
}

int sb_classes_start(struct sb_server *server)
{
    const struct sb_classes *classes = server->classes;
    for (unsigned i = classes->list.n; i-- > 0;) {
        const struct sb_class *class_ = classes->list.classes[i];
        if (classes->list.arguments[i] && !class_->init) {
            sb_server_log(server, SB_LOG_ERROR, "the strategy '%s' takes no argument, but got '%s'", class_->name,
                          classes->list.arguments[i]);
            return -EINVAL;
        }
        int r = class_->init ? class_->init(server, classes->list.arguments[i]) : 0;
        if (r < 0)
            return r;
    }
    sb_classes_begin(server);
    return 0;
}

void sb_classes_destroy(struct sb_server *server)
{
    struct sb_classes *classes = server->classes;
    for (unsigned i = 0; classes && i < classes->list.n; i++) {
        const struct sb_class *class_ = classes->list.classes[i];
        if (class_->finish && (classes->states[i] || class_->state_size == 0))
            class_->finish(server);
        free(classes->states[i]);
        classes->states[i] = NULL;
    }
    if (classes)
        sb_class_list_finish(&classes->list);
    free(classes);
    server->classes = NULL;
}

const char *sb_server_strategy(const struct sb_server *server)
{
    return server->classes->list.text;
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
