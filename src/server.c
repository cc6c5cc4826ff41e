#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/eventfd.h>
#include <sys/param.h>
#include <unistd.h>

#include "accept.h"
#include "child.h"
#include "worker.h"

#define STACK_SIZE_MIN 16384

/* --- log ---------------------------------------------------------------------------------------------------------- */

void sb_server_log(const struct sb_server *server, enum sb_log_level level, const char *format, ...)
{
    if (level > server->config.log_level)
        return;
    char *text;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    if (server->config.log)
        server->config.log(server->config.data, level, text);
    else
        fprintf(stderr, "switchboard: %s\n", text);
    free(text);
}

/* --- the books of requests ---------------------------------------------------------------------------------------- */

static void server_free(struct sb_server *server);

void sb_server_ref(struct sb_server *server)
{
    atomic_fetch_add(&server->references, 1);
}

void sb_server_unref(struct sb_server *server)
{
    if (atomic_fetch_sub(&server->references, 1) == 1)
        server_free(server);
}

struct sb_request *sb_request_new(struct sb_listener *listener, int fd, size_t packet_size)
{
    struct sb_server *server = listener->server;
    struct sb_request *request = calloc(1, sizeof *request);
    if (!request)
        return NULL;
    if (packet_size > 0 && !(request->input = malloc(packet_size))) {
        free(request);
        return NULL;
    }
    request->listener = listener;
    request->server = server;
    request->fd = fd;
    request->datagram = packet_size > 0;
    request->slot = sb_slot_current();
    request->timeout_ms = server->config.idle_timeout_ms;
    sb_server_ref(server);
    pthread_mutex_lock(&server->lock);
    request->next = server->requests;
    request->link = &server->requests;
    if (request->next)
        request->next->link = &request->next;
    server->requests = request;
    pthread_mutex_unlock(&server->lock);
    return request;
}

void sb_request_discard(struct sb_request *request)
{
    struct sb_server *server = request->server;
    pthread_mutex_lock(&server->lock);
    *request->link = request->next;
    if (request->next)
        request->next->link = request->link;
    if (!server->requests)
        pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
    free(request->client_name);
    free(request->why);
    free(request->instance);
    free(request->input);
    free(request->reply);
    free(request);
    sb_server_unref(server);
}

void sb_server_release_place(struct sb_server *server)
{
    atomic_fetch_sub(&server->inflight, 1);
    if (atomic_load(&server->waiting_for_room) > 0)
        sb_wakeup_set(&server->room);
}

void sb_request_free(struct sb_request *request)
{
    struct sb_server *server = request->server;
    sb_server_release_place(server);
    sb_request_discard(request);
}

void sb_request_end(struct sb_request *request)
{
    methods(request->server)->shutdown_request(request);
    sb_request_free(request);
}

static void cut(struct sb_server *server)
{
    sb_wakeup_set(&server->cut);
    pthread_mutex_lock(&server->lock);
    for (struct sb_request *request = server->requests; request; request = request->next)
        if (!request->datagram && request->fd >= 0)
            shutdown(request->fd, SHUT_RDWR);
    pthread_mutex_unlock(&server->lock);
}

static struct timespec to_timespec(int64_t ns)
{
    return (struct timespec){ .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
}

/* With server->lock held: waits for a change; false when the deadline has passed. */
static bool wait_for_change(struct sb_server *server, int64_t deadline_ns)
{
    if (deadline_ns == NEVER)
        return pthread_cond_wait(&server->changed, &server->lock) == 0;
    struct timespec deadline = to_timespec(deadline_ns);
    return pthread_cond_timedwait(&server->changed, &server->lock, &deadline) == 0;
}

bool sb_server_is_idle(struct sb_server *server)
{
    pthread_mutex_lock(&server->lock);
    bool idle = !server->requests;
    pthread_mutex_unlock(&server->lock);
    return idle;
}

static unsigned wait_until_idle(struct sb_server *server, int timeout_ms)
{
    int64_t deadline_ns = sb_deadline_ns(timeout_ms);
    unsigned left = 0;
    pthread_mutex_lock(&server->lock);
    while (server->requests && wait_for_change(server, deadline_ns))
        ;
    for (struct sb_request *request = server->requests; request; request = request->next)
        left++;
    pthread_mutex_unlock(&server->lock);
    return left;
}

int sb_server_drain_ms(const struct sb_server *server)
{
    return sb_server_retiring(server) ? -1 : server->config.drain_timeout_ms;
}

void sb_server_log_drain(struct sb_server *server, unsigned left)
{
    int timeout_ms = sb_server_drain_ms(server);
    if (timeout_ms > 0)
        sb_server_log(server, SB_LOG_INFO, "waiting up to %g s for %u open request%s", timeout_ms / 1000.0, left,
                      left == 1 ? "" : "s");
}

void sb_server_log_cut(struct sb_server *server, unsigned left)
{
    sb_server_log(server, SB_LOG_WARNING, "the drain deadline has passed: cutting off %u request%s", left,
                  left == 1 ? "" : "s");
}

void sb_server_drain(struct sb_server *server)
{
    int timeout_ms = sb_server_drain_ms(server);
    unsigned left = wait_until_idle(server, timeout_ms >= 0 ? MIN(timeout_ms, QUIET_DRAIN_MS) : QUIET_DRAIN_MS);
    if (left > 0 && (timeout_ms < 0 || timeout_ms > QUIET_DRAIN_MS)) {
        sb_server_log_drain(server, left);
        left = wait_until_idle(server, timeout_ms < 0 ? -1 : timeout_ms - QUIET_DRAIN_MS);
    }
    if (left == 0)
        return;
    sb_server_log_cut(server, left);
    cut(server);
    left = wait_until_idle(server, CUT_GRACE_MS);
    if (left > 0)
        sb_server_log(server, SB_LOG_ERROR, "%u request%s cannot be interrupted and %s left behind", left,
                      left == 1 ? "" : "s", left == 1 ? "is" : "are");
}

static void init_lock(struct sb_server *server)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

int sb_server_adopt(struct sb_server *server, struct sb_request *own)
{
    server->process = 0;
    init_lock(server);      /* other threads of the parent may have held it, or waited for a change */
    server->requests = own;
    if (own) {
        own->next = NULL;
        own->link = &server->requests;
    }
    atomic_store(&server->references, 1 + (own != NULL));
    atomic_store(&server->inflight, own != NULL);
    atomic_store(&server->waiting_for_room, 0);
    atomic_store(&server->shortage, false);
    if (own)
        return 0;
    server->process = getpid();
    sb_fd_close(&server->children_fd);
    sb_wakeup_finish(&server->room);
    return sb_wakeup_init(&server->room, EFD_SEMAPHORE);
}

/* --- create and destroy ------------------------------------------------------------------------------------------- */

static int init_wakeups(struct sb_server *server)
{
    int r = sb_wakeup_init(&server->stop, 0);
    if (r == 0)
        r = sb_wakeup_init(&server->cut, 0);
    return r < 0 ? r : sb_wakeup_init(&server->room, EFD_SEMAPHORE);
}

static int check_config(const struct sb_server *server)
{
    const struct sb_config *config = &server->config;
    if (config->max_packet_size >= 1 && config->max_packet_size <= 65535 && config->max_connections >= 1 &&
        config->max_connections <= 1000000 && config->queue_size >= 1 && config->queue_size <= 1000000 &&
        config->max_children >= 1 && config->max_requests >= 0 && config->request_queue_size >= 0 &&
        config->stack_size >= STACK_SIZE_MIN && config->stack_size <= 1 << 30 && config->spin_us >= 0 &&
        config->trace >= 0 && config->trace <= 1000000)
        return 0;
    sb_server_log(server, SB_LOG_ERROR, "a limit of the configuration is out of range: max_packet_size 1 to 65535, "
                  "max_connections and queue_size 1 to 1000000, max_children at least 1, stack_size 16384 to "
                  "1073741824, trace 0 to 1000000, others not negative");
    return -EINVAL;
}

static struct sb_server *server_new(const struct sb_config *config)
{
    static const struct sb_config defaults = SB_CONFIG_DEFAULTS;
    struct sb_server *server = calloc(1, sizeof *server);
    if (!server)
        return NULL;
    server->config = config ? *config : defaults;
    server->owner = server->process = getpid();
    server->stop.fd = server->cut.fd = server->room.fd = server->retire.fd = server->notice.fd = -1;
    server->channel[0] = server->channel[1] = server->lock_fd = server->children_fd = server->board_fd = -1;
    server->loops = server->slots = 1;
    atomic_store(&server->references, 1);
    server->limit = server->config.max_connections;
    init_lock(server);
    return server;
}

static int init_resources(struct sb_server *server)
{
    int r = init_wakeups(server);
    if (r == 0)
        r = sb_board_init(server);
    if (r == 0)
        r = sb_discipline_init(server);
    if (r < 0 && r != -ENOMEM)
        sb_server_log(server, SB_LOG_ERROR, "cannot make what a server needs: %s (limits: ulimit -n, ulimit -v)",
                      strerror(-r));
    return r;
}

static int init(struct sb_server *server, const struct sb_class *const *type, const char *address,
                const struct sb_handler *const *handlers)
{
    int r = check_config(server);
    if (r == 0)
        r = sb_classes_init(server, type);
    if (r == 0)
        r = sb_handlers_init(server, handlers);
    if (r == 0)
        r = sb_classes_start(server);
    if (r == 0)
        r = init_resources(server);
    return r < 0 ? r : sb_server_listen(server, address);
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
    struct sb_server *server = server_new(config);
    if (!server)
        return -ENOMEM;
    int r = init(server, type, address, handlers);
    if (r == 0)
        r = check_scheme(server);
    if (r == -ENOMEM)
        sb_server_log(server, SB_LOG_ERROR, "cannot make a server: out of memory");
    if (r < 0) {
        sb_server_destroy(server);
        return r;
    }
    server->config.strategy = NULL;
    server->config.options = NULL;
    *ret_server = server;
    return 0;
}

static void server_free(struct sb_server *server)
{
    for (unsigned i = 0; i < server->n_listeners; i++)
        sb_listener_free(server->listeners[i]);
    free(server->listeners);
    sb_handlers_finish(server);
    sb_classes_finish(server);
    sb_board_finish(server);
    sb_wakeup_finish(&server->stop);
    sb_wakeup_finish(&server->cut);
    sb_wakeup_finish(&server->room);
    sb_wakeup_finish(&server->retire);
    sb_wakeup_finish(&server->notice);
    sb_fd_close(&server->channel[0]);
    sb_fd_close(&server->channel[1]);
    sb_fd_close(&server->lock_fd);
    sb_fd_close(&server->children_fd);
    pthread_mutex_destroy(&server->lock);
    pthread_cond_destroy(&server->changed);
    free(server);
}

void sb_server_close(struct sb_server *server)
{
    if (!server->closed && server->n_listeners > 0)
        methods(server)->server_close(server);
    sb_helpers_end(server);
    server->closed = true;
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
    return server->closed || server->n_listeners == 0 ? -1 : server->listeners[0]->fd;
}

const char *sb_server_address(const struct sb_server *server, unsigned n)
{
    return n < server->n_listeners ? server->listeners[n]->text : NULL;
}

void *sb_server_data(const struct sb_server *server)
{
    return server->config.data;
}

const char *sb_server_handler_name(const struct sb_server *server)
{
    return server->handler_name;
}

/* --- running and stopping ----------------------------------------------------------------------------------------- */

/* A signal handler may run just before the loop's own thread blocks on its caller: only the kernel can bound that. */
static void bound_own_request(const struct sb_server *server)
{
    const struct sb_request *request = sb_worker.request;
    int drain_ms = server->config.drain_timeout_ms;
    if (!request || request->server != server || request->datagram || drain_ms < 0 || (server->traits & SB_YIELDS))
        return;
    int saved = errno;
    sb_fd_settimeout(request->fd, drain_ms);
    errno = saved;
}

void sb_server_stop(struct sb_server *server)
{
    bound_own_request(server);
    __atomic_store_n(&server->board->stopping, 1, __ATOMIC_RELEASE);
    sb_wakeup_set(&server->stop);
}

static int begin_serving(struct sb_server *server)
{
    pthread_mutex_lock(&server->lock);
    bool busy = server->serving || server->closed;
    server->serving |= !busy;
    server->drain_deadline_ns = 0;
    pthread_mutex_unlock(&server->lock);
    if (busy)
        return -EBUSY;
    sb_wakeup_clear(&server->cut);
    sb_child_note_signals(server);
    return 0;
}

static void end_serving(struct sb_server *server)
{
    sb_wakeup_clear(&server->stop);
    __atomic_store_n(&server->board->stopping, 0, __ATOMIC_RELEASE);
    pthread_mutex_lock(&server->lock);
    server->serving = false;
    server->servings++;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
}

int sb_server_serve_forever(struct sb_server *server)
{
    int r = begin_serving(server);
    if (r < 0)
        return r;
    r = methods(server)->serve_forever(server);
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
    r = sb_base_handle_request(server);
    end_serving(server);
    return r;
}

/* With server->lock held. */
static bool is_serving(const struct sb_server *server, unsigned serving)
{
    return server->serving && server->servings == serving;
}

void sb_server_shutdown(struct sb_server *server)
{
    pthread_mutex_lock(&server->lock);
    unsigned serving = server->servings;
    pthread_mutex_unlock(&server->lock);
    sb_server_stop(server);
    if (sb_worker.handling)
        return;
    int64_t deadline_ns = sb_deadline_ns(server->config.drain_timeout_ms);
    pthread_mutex_lock(&server->lock);
    while (is_serving(server, serving) && wait_for_change(server, deadline_ns))
        ;
    bool late = is_serving(server, serving);
    pthread_mutex_unlock(&server->lock);
    if (!late)
        return;
    cut(server);
    pthread_mutex_lock(&server->lock);
    while (is_serving(server, serving) && wait_for_change(server, NEVER))
        ;
    pthread_mutex_unlock(&server->lock);
}
