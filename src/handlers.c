#include "handlers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "verbs/peer.h"
#include "verbs/send.h"
#include "verbs/settings.h"
#include "verbs/stream.h"

/* --- composition -------------------------------------------------------------------------------------------------- */

static int name_handlers(struct sb_server *server)
{
    size_t size = 1;
    for (unsigned i = 0; i < server->handlers->n; i++)
        size += strlen(server->handlers->list[i].handler->name) + 1;
    char *name = server->handlers->name = calloc(1, size);
    if (!name)
        return -ENOMEM;
    for (unsigned i = 0; i < server->handlers->n; i++) {
        strcat(name, i ? "+" : "");
        strcat(name, server->handlers->list[i].handler->name);
    }
    return 0;
}

static bool stands_in_list(const struct sb_server *server, const struct sb_handler *handler)
{
    for (unsigned i = 0; i < server->handlers->n; i++)
        if (server->handlers->list[i].handler == handler)
            return true;
    return false;
}

static int add_handlers(struct sb_server *server, const struct sb_handler *const *handlers)
{
    bool handles = false;
    for (; handlers && *handlers; handlers++) {
        const struct sb_handler *handler = *handlers;
        if (server->handlers->n == MAX_HANDLERS) {
            sb_server_log(server, SB_LOG_ERROR, "at most %d handlers can be composed", MAX_HANDLERS);
            return -EINVAL;
        }
        if (stands_in_list(server, handler)) {
            sb_server_log(server, SB_LOG_ERROR, "the handler %s stands in the list twice", handler->name);
            return -EINVAL;
        }
        server->handlers->instance_offsets[server->handlers->n] = server->handlers->instance_size;
        server->handlers->list[server->handlers->n++].handler = handler;
        server->handlers->instance_size += (handler->instance_size + 15) / 16 * 16;
        handles |= handler->handle != NULL;
    }
    int r = name_handlers(server);
    if (r == 0 && !handles) {
        sb_server_log(server, SB_LOG_ERROR, "'%s' has no handle: put a handler that has one behind it, as in %s+upper",
                      server->handlers->name, server->handlers->name);
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
    for (unsigned i = 0; i < server->handlers->n; i++) {
        const struct sb_handler *handler = server->handlers->list[i].handler;
        const char *why = objection(classes, handler->traits);
        if (!why)
            continue;
        sb_server_log(server, server->config.force ? SB_LOG_WARNING : SB_LOG_ERROR,
                      "the handler %s does not suit %s: %s%s", handler->name, where, why,
                      server->config.force ? " (forced)" : ", or --force to watch it go wrong");
        if (!server->config.force)
            return -EINVAL;
    }
    return 0;
}

/* There is nothing to watch go wrong, so nothing to force: each answer would end the talk. */
static int check_framing(struct sb_server *server)
{
    for (unsigned i = 0; i < server->handlers->n && server->attributes.framing.server == SB_FRAME_LINE; i++) {
        const struct sb_handler *handler = server->handlers->list[i].handler;
        if (!(handler->traits & SB_SENDS_LINES))
            continue;
        sb_server_log(server, SB_LOG_ERROR, "the handler %s does not suit frame=line: its messages have lines, and "
                      "there a newline is a message's end; use netstring or u32", handler->name);
        return -EINVAL;
    }
    return 0;
}

static bool is_local(const struct sb_address *address)
{
    if (address->sa.sa_family == AF_INET)
        return ntohl(address->in.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    return address->sa.sa_family == AF_UNIX || IN6_IS_ADDR_LOOPBACK(&address->in6.sin6_addr);
}

/* A handler that strangers must not reach, at an address that they do: never without authentication in front. */
static int check_locality(struct sb_server *server, const struct sb_address *address)
{
    char text[SB_ADDRESS_TEXT_SIZE];
    bool authenticates = false, reached = true;
    for (unsigned i = 0; i < server->handlers->n && !is_local(address); i++) {
        const struct sb_handler *handler = server->handlers->list[i].handler;
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
            return -EINVAL;
    }
    return 0;
}

int sb_handlers_check_address(struct sb_server *server, const struct sb_listener *listener)
{
    int r = check_traits(server, listener->family.traits, sb_address_scheme(&listener->address));
    return r < 0 ? r : check_locality(server, &listener->address);
}

static int configure(struct sb_server *server, unsigned n)
{
    const struct sb_options *options = &server->handlers->list[n];
    int r = options->handler->configure ? options->handler->configure(server, options->block) : 0;
    server->handlers->configured[n] = r >= 0;
    return r;
}

/* Of the leftmost handler that sets each. From the right, so that the framing is that one's, too. */
static int settle_attributes(struct sb_server *server)
{
    struct sb_attributes *attributes = &server->attributes;
    unsigned common = ~0u;
    int r = 0;
    for (unsigned i = server->handlers->n; r == 0 && i > 0; i--) {
        const struct sb_handler *handler = server->handlers->list[i - 1].handler;
        r = sb_options_init(server, &server->handlers->list[i - 1]);
        common &= handler->traits;
        attributes->timeout_ms = handler->timeout_ms ? handler->timeout_ms : attributes->timeout_ms;
        attributes->rbufsize = handler->rbufsize ? handler->rbufsize : attributes->rbufsize;
        attributes->wbufsize = handler->wbufsize ? handler->wbufsize : attributes->wbufsize;
        attributes->disable_nagle_algorithm |= handler->disable_nagle_algorithm;
    }
    attributes->caller_first = common & SB_CALLER_FIRST;
    return r;
}

int sb_handlers_create(struct sb_server *server, const struct sb_handler *const *handlers)
{
    server->handlers = calloc(1, sizeof *server->handlers);
    int r = server->handlers ? add_handlers(server, handlers) : -ENOMEM;
    if (r == 0)
        r = settle_attributes(server);
    for (const char *const *option = server->config.options; r == 0 && option && *option; option++)
        r = sb_options_set(server, server->handlers->list, server->handlers->n, server->handlers->name, *option);
    if (r == 0)
        r = check_traits(server, server->traits & ~(unsigned)SB_FAMILY, sb_server_strategy(server));
    if (r == 0)
        r = check_framing(server);
    for (unsigned i = 0; r == 0 && i < server->handlers->n; i++)
        r = configure(server, i);
    return r;
}

void sb_handlers_destroy(struct sb_handlers *handlers)
{
    for (unsigned i = 0; handlers && i < handlers->n; i++) {
        struct sb_options *options = &handlers->list[i];
        if (handlers->configured[i] && options->handler->release)
            options->handler->release(options->block);
        sb_options_finish(options);
    }
    if (handlers)
        free(handlers->name);
    free(handlers);
}

const char *sb_server_handler_name(const struct sb_server *server)
{
    return server->handlers->name;
}

/* --- a request's handler ------------------------------------------------------------------------------------------ */

/* Its place in the list, or the list's length. */
static unsigned position(const struct sb_handlers *handlers, const struct sb_handler *self)
{
    unsigned i = 0;
    while (i < handlers->n && handlers->list[i].handler != self)
        i++;
    return i;
}

void *sb_instance(const struct sb_request *request, const struct sb_handler *self)
{
    const struct sb_handlers *handlers = request->server->handlers;
    unsigned i = position(handlers, self);
    return i < handlers->n && request->instance ? request->instance + handlers->instance_offsets[i] : NULL;
}

const void *sb_options(const struct sb_request *request, const struct sb_handler *self)
{
    const struct sb_handlers *handlers = request->server->handlers;
    unsigned i = position(handlers, self);
    return i < handlers->n ? handlers->list[i].block : NULL;
}

#define SUPER(method)                                                                                      \
    int sb_super_##method(struct sb_request *request, const struct sb_handler *self)                      \
    {                                                                                                      \
        const struct sb_handlers *handlers = request->server->handlers;                                    \
        for (unsigned i = self ? position(handlers, self) + 1 : 0; i < handlers->n; i++)                   \
            if (handlers->list[i].handler->method)                                                         \
                return handlers->list[i].handler->method(request);                                         \
        return 0;                                                                                          \
    }
SUPER(setup)
SUPER(handle)
SUPER(finish)

static int first_error(int first, int second)
{
    return first < 0 ? first : second < 0 ? second : 0;
}

static int begin(struct sb_request *request)
{
    size_t size = request->server->handlers->instance_size;
    if (size != 0 && !(request->instance = calloc(1, size)))
        return -ENOMEM;
    return sb_settings_apply(request);
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

/* What the handler has written leaves even when it failed. */
static int flush(struct sb_request *request)
{
    int r = sb_streams_close(request);
    return first_error(r, sb_send_reply(request));
}

int sb_handlers_run(struct sb_request *request)
{
    request->slot = sb_slot_current();
    sb_slot_begin_request(request->slot, &request->client);
    sb_worker.handling = true;
    int r = run(request);
    r = first_error(r, flush(request));
    sb_worker.handling = false;
    sb_slot_end_request(request->slot, r == 0 ? SB_DONE : sb_has_left(request, r) ? SB_LEFT : SB_FAILED);
    return r;
}
