#include "worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- options ------------------------------------------------------------------------------------------------------ */

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
    return sb_framing_parse(value, &server->framing, &why) < 0 ? bad_value(server, handler, option, value, why) : 0;
}

static int set_option(struct sb_server *server, struct handler_state *state, const struct sb_option *option,
                      const char *value)
{
    void *field = (char *)state->options + option->offset;
    switch (option->type) {
    case SB_OPTION_LONG:
        return set_long(server, state->handler, option, value, field);
    case SB_OPTION_BOOL:
        return set_bool(server, state->handler, option, value, field);
    case SB_OPTION_STRING:
        return set_string(value, field);
    case SB_OPTION_FRAME:
        return set_frame(server, state->handler, option, value);
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

static int unknown_option(struct sb_server *server, const char *name, int length)
{
    char known[512] = "";
    for (unsigned i = 0; i < server->n_handlers; i++)
        for (const struct sb_option *option = server->handlers[i].handler->options; option && option->name; option++) {
            size_t used = strlen(known);
            snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "it has ", option->name);
        }
    sb_server_log(server, SB_LOG_ERROR, "the handler %s has no option '%.*s': %s", server->handler_name, length, name,
                  known[0] ? known : "it has none");
    return -EINVAL;
}

/* "key=value" for the one handler that declares it, or "handler.key=value". */
static int apply_option(struct sb_server *server, const char *text)
{
    const char *equals = strchr(text, '=');
    if (!equals) {
        sb_server_log(server, SB_LOG_ERROR, "the option '%s' must be written KEY=VALUE", text);
        return -EINVAL;
    }
    const char *dot = memchr(text, '.', equals - text), *key = dot ? dot + 1 : text;
    struct handler_state *found = NULL;
    for (unsigned i = 0; i < server->n_handlers; i++) {
        struct handler_state *state = &server->handlers[i];
        if ((dot && !names_handler(text, dot, state->handler)) || !find_option(state->handler, key, equals - key))
            continue;
        if (found) {
            const char *first = found->handler->name, *second = state->handler->name;
            int length = equals - key;
            sb_server_log(server, SB_LOG_ERROR, "both %s and %s have an option %.*s: write %s.%.*s or %s.%.*s", first,
                          second, length, key, first, length, key, second, length, key);
            return -EINVAL;
        }
        found = state;
    }
    if (!found)
        return unknown_option(server, text, equals - text);
    return set_option(server, found, find_option(found->handler, key, equals - key), equals + 1);
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
    return -EINVAL;
}

static int set_defaults(struct sb_server *server, struct handler_state *state)
{
    for (const struct sb_option *option = state->handler->options; option && option->name; option++)
        if (check_block(server, state->handler, option) < 0)
            return -EINVAL;
    if (state->handler->options_size != 0 && !(state->options = calloc(1, state->handler->options_size)))
        return -ENOMEM;
    for (const struct sb_option *option = state->handler->options; option && option->name; option++) {
        int r = option->value ? set_option(server, state, option, option->value) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

/* --- composition -------------------------------------------------------------------------------------------------- */

static int name_handlers(struct sb_server *server)
{
    size_t size = 1;
    for (unsigned i = 0; i < server->n_handlers; i++)
        size += strlen(server->handlers[i].handler->name) + 1;
    char *name = server->handler_name = calloc(1, size);
    if (!name)
        return -ENOMEM;
    for (unsigned i = 0; i < server->n_handlers; i++) {
        strcat(name, i ? "+" : "");
        strcat(name, server->handlers[i].handler->name);
    }
    return 0;
}

static bool stands_in_list(const struct sb_server *server, const struct sb_handler *handler)
{
    for (unsigned i = 0; i < server->n_handlers; i++)
        if (server->handlers[i].handler == handler)
            return true;
    return false;
}

static int add_handlers(struct sb_server *server, const struct sb_handler *const *handlers)
{
    bool handles = false;
    for (; handlers && *handlers; handlers++) {
        const struct sb_handler *handler = *handlers;
        if (server->n_handlers == MAX_HANDLERS) {
            sb_server_log(server, SB_LOG_ERROR, "at most %d handlers can be composed", MAX_HANDLERS);
            return -EINVAL;
        }
        if (stands_in_list(server, handler)) {
            sb_server_log(server, SB_LOG_ERROR, "the handler %s stands in the list twice", handler->name);
            return -EINVAL;
        }
        struct handler_state *state = &server->handlers[server->n_handlers++];
        *state = (struct handler_state){ .handler = handler, .instance_offset = server->instance_size };
        server->instance_size += (handler->instance_size + 15) / 16 * 16;
        handles |= handler->handle != NULL;
    }
    int r = name_handlers(server);
    if (r == 0 && !handles) {
        sb_server_log(server, SB_LOG_ERROR, "'%s' has no handle: put a handler that has one behind it, as in %s+upper",
                      server->handler_name, server->handler_name);
        return -EINVAL;
    }
    return r;
}

/* The reason why a server with these class traits is no place for this handler, or NULL. */
static const char *objection(unsigned classes, unsigned handler)
{
    if ((classes & SB_CONCURRENT) && (handler & SB_NOT_THREAD_SAFE))
        return "it is not thread-safe, and there its requests would share memory at the same time; use serial or fork";
    if ((classes & SB_FORKS) && (handler & SB_KEEPS_STATE))
        return "it keeps state in memory from one request to the next, and there each process would have its own; use "
               "serial or thread";
    if ((classes & SB_YIELDS) && (handler & SB_BLOCKS))
        return "it blocks its thread, and there all requests share that thread; use thread or fork";
    if ((classes & SB_FAMILY) && (classes & SB_DATAGRAM) && (handler & SB_STREAM_ONLY))
        return "it needs a connection; use tcp or unix";
    if ((classes & SB_FAMILY) && !(classes & SB_DATAGRAM) && (handler & SB_DATAGRAM_ONLY))
        return "it needs datagrams; use udp or unixgram";
    return NULL;
}

static int check_traits(struct sb_server *server, unsigned classes, const char *where)
{
    for (unsigned i = 0; i < server->n_handlers; i++) {
        const struct sb_handler *handler = server->handlers[i].handler;
        const char *why = objection(classes, handler->traits);
        if (!why)
            continue;
        sb_server_log(server, server->config.force ? SB_LOG_WARNING : SB_LOG_ERROR,
                      "the handler %s does not suit %s: %s%s", handler->name, where, why,
                      server->config.force ? " (forced)" : ", or --force to watch it go wrong");
        if (!server->config.force)
            return -EPERM;
    }
    return 0;
}

static bool is_local(const struct sb_address *address)
{
    if (address->sa.sa_family == AF_INET)
        return ntohl(address->in.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    if (address->sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address->in6.sin6_addr))
        return address->in6.sin6_addr.s6_addr[12] == IN_LOOPBACKNET;
    return address->sa.sa_family == AF_UNIX || IN6_IS_ADDR_LOOPBACK(&address->in6.sin6_addr);
}

/* A handler that strangers must not reach, at an address that they do: never without authentication in front. */
static int check_locality(struct sb_server *server, const struct sb_address *address)
{
    char text[SB_ADDRESS_TEXT_SIZE];
    bool authenticates = false, reached = true;
    for (unsigned i = 0; i < server->n_handlers && !is_local(address); i++) {
        const struct sb_handler *handler = server->handlers[i].handler;
        authenticates |= reached && (handler->traits & SB_AUTHENTICATES);
        reached &= !handler->setup;     /* who has one need not call those behind */
        if (!(handler->traits & SB_LOCAL_ONLY))
            continue;
        bool allowed = authenticates && server->config.force;
        sb_server_log(server, allowed ? SB_LOG_WARNING : SB_LOG_ERROR,
                      "the handler %s is dangerous in the hands of strangers, and %s is open to them%s", handler->name,
                      sb_address_format(address, text), allowed ? " (forced)" : authenticates
                      ? "; --force if they may have it once they are authenticated"
                      : "; use 127.0.0.1, [::1] or a Unix socket, or put auth in front and --force it");
        if (!allowed)
            return -EPERM;
    }
    return 0;
}

int sb_handlers_check_address(struct sb_server *server, const struct sb_listener *listener)
{
    int r = check_traits(server, listener->family.traits, sb_address_scheme(&listener->address));
    return r < 0 ? r : check_locality(server, &listener->address);
}

static int configure(struct sb_server *server, struct handler_state *state)
{
    int r = state->handler->configure ? state->handler->configure(server, state->options) : 0;
    state->configured = r >= 0;
    return r;
}

int sb_handlers_init(struct sb_server *server, const struct sb_handler *const *handlers)
{
    int r = add_handlers(server, handlers);
    /* From the right, for the leftmost handler's framing wins. */
    for (unsigned i = server->n_handlers; r == 0 && i > 0; i--)
        r = set_defaults(server, &server->handlers[i - 1]);
    for (const char *const *option = server->config.options; r == 0 && option && *option; option++)
        r = apply_option(server, *option);
    if (r == 0)
        r = check_traits(server, server->traits & ~(unsigned)SB_FAMILY, server->strategy);
    for (unsigned i = 0; r == 0 && i < server->n_handlers; i++)
        r = configure(server, &server->handlers[i]);
    return r;
}

void sb_handlers_finish(struct sb_server *server)
{
    for (unsigned i = 0; i < server->n_handlers; i++) {
        struct handler_state *state = &server->handlers[i];
        if (state->configured && state->handler->release)
            state->handler->release(state->options);
        for (const struct sb_option *option = state->handler->options; option && option->name; option++)
            if (option->type == SB_OPTION_STRING && state->options)
                free(*(char **)((char *)state->options + option->offset));
        free(state->options);
    }
    free(server->handler_name);
}

/* --- a request's handler ------------------------------------------------------------------------------------------ */

static const struct handler_state *find_state(const struct sb_request *request, const struct sb_handler *self)
{
    for (unsigned i = 0; i < request->server->n_handlers; i++)
        if (request->server->handlers[i].handler == self)
            return &request->server->handlers[i];
    return NULL;
}

void *sb_instance(const struct sb_request *request, const struct sb_handler *self)
{
    const struct handler_state *state = find_state(request, self);
    return state && request->instance ? request->instance + state->instance_offset : NULL;
}

const void *sb_options(const struct sb_request *request, const struct sb_handler *self)
{
    const struct handler_state *state = find_state(request, self);
    return state ? state->options : NULL;
}

#define SUPER(method)                                                                                      \
    int sb_super_##method(struct sb_request *request, const struct sb_handler *self)                      \
    {                                                                                                      \
        const struct sb_server *server = request->server;                                                  \
        const struct handler_state *behind = self ? find_state(request, self) : NULL;                      \
        for (unsigned i = behind ? behind - server->handlers + 1 : 0; i < server->n_handlers; i++)         \
            if (server->handlers[i].handler->method)                                                       \
                return server->handlers[i].handler->method(request);                                       \
        return 0;                                                                                          \
    }
SUPER(setup)
SUPER(handle)
SUPER(finish)

unsigned sb_handlers_common_traits(const struct sb_server *server)
{
    unsigned traits = ~0u;
    for (unsigned i = 0; i < server->n_handlers; i++)
        traits &= server->handlers[i].handler->traits;
    return traits;
}

int sb_handlers_timeout_ms(const struct sb_server *server)
{
    int timeout_ms = 0;
    for (unsigned i = 0; timeout_ms == 0 && i < server->n_handlers; i++)
        timeout_ms = server->handlers[i].handler->timeout_ms;
    return timeout_ms;
}

static int first_error(int first, int second)
{
    return first < 0 ? first : second < 0 ? second : 0;
}

/* StreamRequestHandler's attributes: of the leftmost handler that sets each. */
static int begin(struct sb_request *request)
{
    const struct sb_server *server = request->server;
    int timeout_ms = sb_handlers_timeout_ms(server), nodelay = 0;
    for (unsigned i = 0; i < server->n_handlers; i++)
        nodelay |= server->handlers[i].handler->disable_nagle_algorithm;
    if (server->instance_size != 0 && !(request->instance = calloc(1, server->instance_size)))
        return -ENOMEM;
    return sb_request_begin(request, timeout_ms, nodelay);
}

static int run(struct sb_request *request)
{
    request->phase = "setup";
    int r = begin(request);
    if (r == 0)
        r = sb_super_setup(request, NULL);
    if (r < 0)
        return r;
    request->phase = "handle";
    r = sb_super_handle(request, NULL);
    if (r >= 0)
        request->phase = "finish";
    return first_error(r, sb_super_finish(request, NULL));
}

int sb_handlers_run(struct sb_request *request)
{
    request->slot = sb_slot_current();
    sb_slot_begin_request(request->slot, &request->client);
    sb_worker.handling = true;
    int r = run(request);
    r = first_error(r, sb_request_flush(request));
    sb_worker.handling = false;
    sb_slot_end_request(request->slot, r < 0);
    return r;
}
