#include "answering.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

struct seen seen;

static struct sb_server *server;
static pthread_t server_thread;

static void *serve(void *unused)
{
    (void)unused;
    sb_server_serve_forever(server);
    return NULL;
}

struct load_plan serve_with(int (*handle)(struct sb_request *), const char *address)
{
    static struct sb_handler handler = { .abi_version = SB_ABI_VERSION, .struct_size = sizeof handler, .name = "test" };
    static const struct sb_class *const type[] = { &sb_threading_mixin, NULL };
    struct sb_config config = SB_CONFIG_DEFAULTS;
    struct load_plan plan = { .clients = 8, .count = 40, .patience_ns = 120 * SECOND_NS, .grace_ns = 120 * SECOND_NS,
                              .cpu = -1 };
    config.log_level = SB_LOG_ERROR;
    config.drain_timeout_ms = 0;
    handler.handle = handle;
    cr_assert_eq(sb_server_create(type, address, SB_HANDLERS(&handler), &config, &server), 0);
    cr_assert_eq(sb_address_parse(sb_server_address(server, 0), NULL, &plan.address, NULL), 0);
    cr_assert_eq(pthread_create(&server_thread, NULL, serve, NULL), 0);
    return plan;
}

void end_server(void)
{
    sb_server_shutdown(server);
    pthread_join(server_thread, NULL);
    sb_server_destroy(server);
}

static void arrive(struct sb_request *request)
{
    const struct sb_address *caller = sb_client_address(request);
    unsigned nth = seen.connections++;
    if (nth < CALLS_ROOM && caller->sa.sa_family == AF_INET)
        seen.ports[nth] = ntohs(caller->in.sin_port);
    seen.now++;
}

static void capitals(char *line, ssize_t size)
{
    for (ssize_t i = 0; i < size; i++)
        line[i] = line[i] >= 'a' && line[i] <= 'z' ? (char)(line[i] - 32) : line[i];
}

int upper(struct sb_request *request)
{
    char line[256];
    ssize_t size;
    arrive(request);
    while ((size = sb_readline(request, line, sizeof line)) > 0 && strncmp(line, "poison", 6) != 0) {
        capitals(line, size);
        if (sb_sendall(request, line, (size_t)size) < 0)
            break;
    }
    seen.resets += size < 0;
    seen.poison += size > 0 && strncmp(line, "poison", 6) == 0;
    seen.now--;
    return 0;
}

int silent(struct sb_request *request)
{
    char bytes[256];
    arrive(request);
    while (sb_recv(request, bytes, sizeof bytes) > 0)
        ;
    seen.now--;
    return 0;
}

struct load_result *run(const struct load_plan *plan)
{
    static struct load_result result;
    int r = load_run(plan, NULL, &result);
    cr_assert_eq(r, 0, "%s", result.why);
    cr_assert(result.done);
    cr_assert_eq(result.begun, result.answered + load_errors(&result));
    cr_assert_eq(result.answered, result.latency.count);
    cr_assert_eq(result.answered, result.service.count);
    return &result;
}

void wait_until_at_least(const volatile _Atomic unsigned *value, unsigned wanted)
{
    for (int i = 0; *value < wanted && i < 120000; i++)
        nanosleep(&(struct timespec){ .tv_nsec = MS_NS }, NULL);
    cr_assert_geq(*value, wanted);
}

void wait_until_equal(const volatile _Atomic unsigned *value, unsigned wanted)
{
    for (int i = 0; *value != wanted && i < 120000; i++)
        nanosleep(&(struct timespec){ .tv_nsec = MS_NS }, NULL);
    cr_assert_eq(*value, wanted);
}
