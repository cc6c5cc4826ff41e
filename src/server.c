/* A server's life: create, serve, stop, shutdown, close, destroy. What a program calls; nothing in the library does. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base.h"
#include "channel.h"
#include "child.h"
#include "drain.h"
#include "generation.h"
#include "ground/clock.h"
#include "ground/descriptor.h"
#include "ground/thread.h"
#include "handlers.h"
#include "listener.h"
#include "ready.h"
#include "registry.h"
#include "verbs/offload.h"

#define STACK_SIZE_MIN 16384

struct sb_life {
    pthread_mutex_t lock;       /* guards all below */
    pthread_cond_t ended;       /* a serving has */
    bool serving, closed;
    unsigned servings;          /* how many have ended */
};

/* --- create ------------------------------------------------------------------------------------------------------- */

static int check_config(const struct sb_server *server)
{
    const struct sb_config *config = &server->config;
    if (config->max_packet_size >= 1 && config->max_packet_size <= 65535 && config->max_connections >= 1 &&
        config->max_connections <= 1000000 && config->queue_size >= 1 && config->queue_size <= 1000000 &&
        config->max_children >= 1 && config->max_requests >= 0 && config->request_queue_size >= 0 &&
        config->stack_size >= STACK_SIZE_MIN && config->stack_size <= 1 << 30 && config->spin_us >= 0 &&
        config->trace >= 0 && config->trace <= 1000000 && config->socket_mode >= -1 && config->socket_mode <= 0777)
        return 0;
    sb_server_log(server, SB_LOG_ERROR, "a limit of the configuration is out of range: max_packet_size 1 to 65535, "
                  "max_connections and queue_size 1 to 1000000, max_children at least 1, stack_size 16384 to "
                  "1073741824, trace 0 to 1000000, socket_mode 0 to 0777, others not negative");
    return -EINVAL;
}

static struct sb_life *create_life(void)
{
    struct sb_life *life = calloc(1, sizeof *life);
    if (!life)
        return NULL;
    pthread_mutex_init(&life->lock, NULL);
    sb_condition_init(&life->ended);
    return life;
}

static void destroy_life(struct sb_life *life)
{
    if (!life)
        return;
    pthread_mutex_destroy(&life->lock);
    pthread_cond_destroy(&life->ended);
    free(life);
}

static void free_server(struct sb_server *server)
{
    sb_classes_destroy(server);
    for (unsigned i = 0; i < server->n_listeners; i++)
        sb_listener_free(server->listeners[i]);
    free(server->listeners);
    sb_channel_close(server);
    sb_handlers_destroy(server->handlers);
    sb_turn_finish(&server->turn);
    sb_signals_finish(&server->signals);
    sb_crew_finish(&server->crew);
    sb_books_finish(&server->books);
    sb_reaper_destroy(server->reaper);
    destroy_life(server->life);
    free(server);
}

static const struct sb_config defaults = SB_CONFIG_DEFAULTS;

static struct sb_log log_of(const struct sb_config *config)
{
    config = config ? config : &defaults;
    return (struct sb_log){ config->log_level, config->log, config->data };
}

static struct sb_server *new_server(const struct sb_config *config)
{
    struct sb_server *server = aligned_alloc(_Alignof(struct sb_server), sizeof *server);
    if (!server)
        return NULL;
    memset(server, 0, sizeof *server);
    server->config = config ? *config : defaults;
    server->log = log_of(config);
    if (server->config.generation)
        sb_generation_overhear(server->config.generation, &server->log);
    server->registry = &sb_registry;
    server->free = free_server;
    server->turn.fd = -1;
    atomic_store(&server->references, 1);
    sb_crew_init(&server->crew);
    sb_signals_init(&server->signals);
    sb_books_prepare(&server->books);
    return server;
}

static int init_parts(struct sb_server *server)
{
    server->life = create_life();
    server->reaper = sb_reaper_create();
    if (!server->life || !server->reaper)
        return -ENOMEM;
    return sb_books_init(&server->books, server->classes->request_size, server->config.max_connections);
}

static int init_shared(struct sb_server *server)
{
    struct sb_crew *crew = &server->crew;
    const struct sb_config *config = &server->config;
    int r = sb_crew_open(crew, config->max_connections, config->trace, sb_server_strategy(server),
                         sb_server_handler_name(server));
    if (r == 0)
        r = sb_signals_open(&server->signals, &crew->board->stopping);
    if (r == 0)
        r = sb_turn_init(&server->turn, config->accept, crew->board->accept_lock);
    return r;
}

static int init_resources(struct sb_server *server, int (*init)(struct sb_server *server))
{
    int r = init(server);
    if (r < 0 && r != -ENOMEM)
        sb_server_log(server, SB_LOG_ERROR, "cannot make what a server needs: %s (limits: ulimit -n, ulimit -v)",
                      strerror(-r));
    return sb_system_error(r);
}

static int init(struct sb_server *server, const struct sb_class *const *type, const char *address,
                const struct sb_handler *const *handlers)
{
    int r = check_config(server);
    if (r == 0)
        r = sb_classes_create(server, type);
    if (r == 0)
        r = init_resources(server, init_parts);
    if (r == 0)
        r = sb_handlers_create(server, handlers);
    if (r == 0)
        r = sb_classes_start(server);
    if (r == 0)
        r = init_resources(server, init_shared);
    if (r == -ENOMEM)
        sb_server_log(server, SB_LOG_ERROR, "cannot make a server: out of memory");
    return r < 0 || !address ? r : sb_listener_add(server, address);
}

/* A type with a family refuses an address of another; without one, any will do. */
static int check_scheme(const struct sb_server *server)
{
    const char *scheme = sb_address_scheme(&server->listeners[0]->address);
    if (!server->family || strcmp(server->family[0]->name, scheme) == 0)
        return 0;
    sb_server_log(server, SB_LOG_ERROR, "a server of type %s cannot have the address %s", server->family[0]->name,
                  server->listeners[0]->text);
    return -EINVAL;
}

int sb_server_create(const struct sb_class *const *type, const char *address, const struct sb_handler *const *handlers,
                     const struct sb_config *config, struct sb_server **ret_server)
{
    struct sb_server *server = new_server(config);
    if (!server) {
        const struct sb_log log = log_of(config);
        sb_log_line(&log, SB_LOG_ERROR, "cannot make a server: out of memory");
        return -ENOMEM;
    }
    int r = init(server, type, address, handlers);
    if (r == 0 && address)
        r = check_scheme(server);
    if (r < 0) {
        sb_server_destroy(server);
        return r;
    }
    server->config.strategy = NULL;
    server->config.options = NULL;
    *ret_server = server;
    return 0;
}

int sb_server_listen(struct sb_server *server, const char *address)
{
    return sb_listener_add(server, address);
}

/* --- serving ------------------------------------------------------------------------------------------------------ */

/* A stop that came before there was a server is this one's. */
static void begin_generation(struct sb_server *server, const struct sb_generation *generation)
{
    sb_generation_follow(generation);
    if (generation->asked == SB_ASKED_STOP_NOW)
        sb_server_stop_now(server);
    else if (generation->asked == SB_ASKED_STOP)
        sb_server_stop(server);
}

static int begin_serving(struct sb_server *server)
{
    struct sb_life *life = server->life;
    pthread_mutex_lock(&life->lock);
    bool busy = life->serving || life->closed;
    life->serving |= !busy;
    pthread_mutex_unlock(&life->lock);
    if (busy)
        return -EBUSY;
    sb_signals_reset(&server->signals);
    sb_ready_reset(server);
    sb_child_note_signals(server);
    if (server->config.generation)
        begin_generation(server, server->config.generation);
    return 0;
}

static void end_serving(struct sb_server *server)
{
    struct sb_life *life = server->life;
    sb_signals_clear(&server->signals);
    pthread_mutex_lock(&life->lock);
    life->serving = false;
    life->servings++;
    pthread_cond_broadcast(&life->ended);
    pthread_mutex_unlock(&life->lock);
}

/* A handler or a service_actions may serve another server meanwhile: who works for that is not who works here. */
static int as_another(struct sb_server *server, int (*serve)(struct sb_server *server))
{
    const struct sb_worker outer = sb_worker;
    sb_worker = (struct sb_worker){ .slot = NULL };
    int r = serve(server);
    sb_worker = outer;
    return r;
}

int sb_server_serve_forever(struct sb_server *server)
{
    int r = begin_serving(server);
    if (r < 0)
        return r;
    r = as_another(server, methods(server)->serve_forever);
    if (r < 0)
        sb_server_log(server, SB_LOG_ERROR, "cannot serve: %s", strerror(-r));
    end_serving(server);
    return r;
}

int sb_server_handle_request(struct sb_server *server)
{
    if (server->config.accept == SB_ACCEPT_REUSEPORT) {
        sb_server_log(server, SB_LOG_ERROR, "accept discipline reuseport has a listener for each worker, and one "
                      "request alone would wait at the wrong one; choose shared");
        return -EINVAL;
    }
    int r = begin_serving(server);
    if (r < 0)
        return r;
    r = as_another(server, sb_base_handle_request);
    end_serving(server);
    return r;
}

int sb_server_handle_connection(struct sb_server *server, int fd)
{
    int r = sb_listener_add_connection(server, fd);
    if (r == 0)
        r = check_scheme(server);
    if (r == 0)
        r = begin_serving(server);
    if (r < 0)
        return r;
    server->connection_fd = fd;
    r = as_another(server, sb_base_handle_connection);
    end_serving(server);
    return r;
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

/* A signal handler may run just before the loop's own thread blocks on its caller: only the kernel can bound that. */
static void bound_own_request(const struct sb_server *server)
{
    const struct sb_request *request = sb_worker.request;
    int drain_ms = sb_drain_ms(server);
    if (!request || request->server != server || request->datagram || drain_ms < 0 || (server->traits & SB_YIELDS))
        return;
    int saved = errno;
    sb_fd_settimeout(request->fd, drain_ms);
    errno = saved;
}

void sb_server_stop(struct sb_server *server)
{
    bound_own_request(server);
    sb_signals_stop(&server->signals);
}

void sb_server_stop_now(struct sb_server *server)
{
    sb_signals_hurry(&server->signals);
    sb_server_stop(server);
}

void sb_server_retire(struct sb_server *server)
{
    sb_signals_be_patient(&server->signals);
    sb_server_stop(server);
}

/* Waits for the end of that serving: whether it has come before the deadline. */
static bool wait_for_end(struct sb_life *life, unsigned serving, int64_t deadline_ns)
{
    struct timespec deadline = { .tv_sec = deadline_ns / 1000000000, .tv_nsec = deadline_ns % 1000000000 };
    int r = 0;
    pthread_mutex_lock(&life->lock);
    while (life->serving && life->servings == serving && r == 0)
        r = deadline_ns == NEVER ? pthread_cond_wait(&life->ended, &life->lock)
                                 : pthread_cond_timedwait(&life->ended, &life->lock, &deadline);
    bool ended = !life->serving || life->servings != serving;
    pthread_mutex_unlock(&life->lock);
    return ended;
}

void sb_server_shutdown(struct sb_server *server)
{
    struct sb_life *life = server->life;
    pthread_mutex_lock(&life->lock);
    unsigned serving = life->servings;
    pthread_mutex_unlock(&life->lock);
    sb_server_stop(server);
    if (sb_worker.handling || wait_for_end(life, serving, sb_deadline_ns(server->config.drain_timeout_ms)))
        return;
    sb_cut(server);
    wait_for_end(life, serving, NEVER);
}

void sb_server_close(struct sb_server *server)
{
    if (!server->life || server->life->closed)
        return;
    if (server->n_listeners > 0)
        methods(server)->server_close(server);
    sb_helpers_end(server);
    server->life->closed = true;
}

void sb_server_destroy(struct sb_server *server)
{
    if (!server)
        return;
    sb_server_close(server);
    sb_server_unref(server);
}

int sb_server_fileno(const struct sb_server *server)
{
    return server->life->closed || server->n_listeners == 0 ? -1 : server->listeners[0]->fd;
}
