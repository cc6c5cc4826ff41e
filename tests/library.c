/* The contract once more, through the library: a server in a thread of the program. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <switchboard/switchboard.h>
#include <unistd.h>

#include "designs.h"

TestSuite(library, .timeout = 600);

static struct criterion_test_params settings(void)
{
    struct setting *list = cr_calloc(DESIGNS * FAMILIES, sizeof *list);
    size_t count = 0;
    for (int d = 0; d < DESIGNS; d++)
        for (int f = 0; f < FAMILIES; f++)
            if (fits(&designs[d], families[f])) {
                list[count].design = designs[d];
                strcpy(list[count++].family, families[f]);
            }
    return cr_make_param_array(struct setting, list, count);
}

#define PROMISE(name)                                                                                      \
    static void check_##name(const struct setting *setting);                                               \
    ParameterizedTestParameters(library, name)                                                             \
    {                                                                                                      \
        return settings();                                                                                 \
    }                                                                                                      \
    ParameterizedTest(struct setting *setting, library, name)                                              \
    {                                                                                                      \
        cr_log_info("%s %s %s", setting->design.strategy, setting->design.accept, setting->family);        \
        check_##name(setting);                                                                             \
    }                                                                                                      \
    static void check_##name(const struct setting *setting)

/* --- a server in a thread ----------------------------------------------------------------------------------------- */

static int handle(struct sb_request *request)
{
    char text[64];
    ssize_t n = sb_recv(request, text, sizeof text);
    return n < 0 ? n : sb_sendall(request, text, n);
}

static const struct sb_handler echo = { .name = "echo", .handle = handle };

static struct sb_config config_for(const struct setting *setting)
{
    struct sb_config config = SB_CONFIG_DEFAULTS;
    config.strategy = setting->design.strategy;
    config.accept = sb_discipline_parse(setting->design.accept);
    return config;
}

static struct sb_server *create(const struct setting *setting, const struct sb_config *config)
{
    char address[64];
    struct sb_server *server;
    bool internet = strncmp(setting->family, "unix", 4) != 0;
    snprintf(address, sizeof address, internet ? "%s://127.0.0.1:0" : "%s:@switchboard-test-%d", setting->family,
             (int)getpid());
    cr_assert_eq(sb_server_create(NULL, address, SB_HANDLERS(&echo), config, &server), 0);
    return server;
}

static void *serve(void *server)
{
    return (void *)(intptr_t)sb_server_serve_forever(server);
}

static pthread_t start(struct sb_server *server)
{
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, serve, server), 0);
    return thread;
}

static void join(pthread_t thread)
{
    void *result;
    pthread_join(thread, &result);
    cr_expect_eq((intptr_t)result, 0);
}

static void visit(const struct sb_server *server)
{
    struct sb_address address;
    struct timeval limit = { .tv_sec = 120 };
    char heard[8];
    cr_assert_eq(sb_address_parse(sb_server_address(server, 0), NULL, &address, NULL), 0);
    int fd = socket(address.sa.sa_family, address.socktype | SOCK_CLOEXEC, 0);
    if (address.socktype == SOCK_DGRAM && address.sa.sa_family == AF_UNIX)
        bind(fd, &(struct sockaddr){ .sa_family = AF_UNIX }, sizeof(sa_family_t));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    cr_assert_eq(connect(fd, &address.sa, address.size), 0);
    cr_assert_eq(send(fd, "hello", 5, MSG_NOSIGNAL), 5);
    ssize_t n;
    /* Criterion catches SIGCHLD. */
    while ((n = recv(fd, heard, sizeof heard, 0)) < 0 && errno == EINTR)
        ;
    cr_assert_eq(n, 5, "%s", strerror(errno));
    close(fd);
}

static void *visit_thread(void *server)
{
    visit(server);
    return NULL;
}

/* --- promises ----------------------------------------------------------------------------------------------------- */

PROMISE(serves_stops_and_serves_again)
{
    struct sb_config config = config_for(setting);
    struct sb_server *server = create(setting, &config);
    for (int round = 0; round < 2; round++) {
        pthread_t thread = start(server);
        for (int i = 0; i < 5; i++)
            visit(server);
        sb_server_shutdown(server);
        join(thread);
        cr_expect_geq(sb_server_fileno(server), 0, "the listener stays open");
    }
    sb_server_close(server);
    cr_expect_eq(sb_server_fileno(server), -1);
    sb_server_close(server);
    sb_server_destroy(server);
    cr_expect_eq(waitpid(-1, NULL, WNOHANG), -1);
    cr_expect_eq(errno, ECHILD);
}

PROMISE(a_stop_before_it_serves_ends_it_at_once_and_twice_is_once)
{
    struct sb_config config = config_for(setting);
    struct sb_server *server = create(setting, &config);
    sb_server_stop(server);
    sb_server_stop(server);
    cr_expect_eq(sb_server_serve_forever(server), 0);
    pthread_t thread = start(server);
    visit(server);
    sb_server_shutdown(server);
    join(thread);
    sb_server_shutdown(server);
    sb_server_destroy(server);
}

PROMISE(handle_request_serves_one_or_times_out)
{
    struct sb_config config = config_for(setting);
    config.timeout_ms = 0;
    struct sb_server *server = create(setting, &config);
    bool reuseport = config.accept == SB_ACCEPT_REUSEPORT;
    cr_expect_eq(sb_server_handle_request(server), reuseport ? -EINVAL : 0);
    sb_server_destroy(server);
}

/* What AddressSanitizer of GCC 12 does not survive: a thread that has handled a request may be in its allocator, whose lock the
 * workers forked just then inherit for ever. */
static bool forks_beside_threads(const struct design *design)
{
#ifdef __SANITIZE_ADDRESS__
    return strncmp(design->strategy, "prefork", 7) == 0 &&
           (strstr(design->strategy, "+pool") || strstr(design->strategy, "+thread"));
#else
    (void)design;
    return false;
#endif
}

PROMISE(serves_on_after_one_request_was_handled)
{
    struct sb_config config = config_for(setting);
    if (config.accept == SB_ACCEPT_REUSEPORT || forks_beside_threads(&setting->design))
        return;
    struct sb_server *server = create(setting, &config);
    pthread_t visitor;
    cr_assert_eq(pthread_create(&visitor, NULL, visit_thread, server), 0);
    cr_expect_eq(sb_server_handle_request(server), 1);
    pthread_join(visitor, NULL);
    pthread_t thread = start(server);
    for (int i = 0; i < 4; i++)
        visit(server);
    sb_server_shutdown(server);
    join(thread);
    sb_server_destroy(server);
}

/* --- a server in a server ----------------------------------------------------------------------------------------- */

static void serve_another(const char *strategy, const char *address)
{
    struct sb_config config = SB_CONFIG_DEFAULTS;
    struct sb_server *inner;
    config.strategy = strategy;
    cr_assert_eq(sb_server_create(NULL, address, SB_HANDLERS(&echo), &config, &inner), 0);
    pthread_t visitor;
    cr_assert_eq(pthread_create(&visitor, NULL, visit_thread, inner), 0);
    cr_expect_eq(sb_server_handle_request(inner), 1);
    pthread_join(visitor, NULL);
    sb_server_stop(inner);
    cr_expect_eq(sb_server_serve_forever(inner), 0);
    sb_server_destroy(inner);
}

/* As for the second connection of FTP. */
static int handle_by_another(struct sb_request *request)
{
    static const char *const strategies[] = { "serial", "thread", "fiber:epoll", "prefork:2" };
    for (int i = 0; i < 4; i++) {
        serve_another(strategies[i], "tcp://127.0.0.1:0");
        serve_another(strategies[i], "udp://127.0.0.1:0");
    }
    return handle(request);
}

Test(library, a_handler_may_serve_another_server)
{
    static const struct sb_handler handler = { .name = "outer", .handle = handle_by_another };
    static const char *const addresses[] = { "tcp://127.0.0.1:0", "udp://127.0.0.1:0" };
    static const char *const strategies[] = { "serial", "thread", "fiber:epoll", "fiber:uring" };
    for (int i = 0; i < 8; i++) {
        struct sb_config config = SB_CONFIG_DEFAULTS;
        struct sb_server *server;
        config.strategy = strategies[i / 2];
        cr_assert_eq(sb_server_create(NULL, addresses[i % 2], SB_HANDLERS(&handler), &config, &server), 0);
        pthread_t thread = start(server);
        for (int n = 0; n < 3; n++)
            visit(server);
        sb_server_shutdown(server);
        join(thread);
        sb_server_destroy(server);
    }
}

/* --- a get_request of one's own ----------------------------------------------------------------------------------- */

static const struct sb_class choosy;
static atomic_int refused, at_once, most_at_once;

static int choose(struct sb_listener *listener, struct sb_request **ret_request)
{
    int r = sb_super(sb_listener_server(listener), &choosy)->get_request(listener, ret_request);
    if (r < 0 || atomic_fetch_add(&refused, 1) >= 20)
        return r;
    sb_request_end(*ret_request);
    return -EAGAIN;
}

static const struct sb_class choosy = { .name = "choosy", .get_request = choose };

static int count_at_once(struct sb_request *request)
{
    int now = atomic_fetch_add(&at_once, 1) + 1;
    if (now > most_at_once)
        most_at_once = now;
    int r = handle(request);
    atomic_fetch_sub(&at_once, 1);
    return r;
}

/* Whom it turns away has had no place, and so leaves none. */
Test(library, who_was_turned_away_leaves_no_place)
{
    static const struct sb_class *const type[] = { &choosy, &sb_threading_mixin, &sb_tcp_class, NULL };
    static const struct sb_handler handler = { .name = "counts", .handle = count_at_once };
    struct sb_config config = SB_CONFIG_DEFAULTS;
    struct sb_server *server;
    config.max_connections = 3;
    cr_assert_eq(sb_server_create(type, "127.0.0.1:0", SB_HANDLERS(&handler), &config, &server), 0);
    pthread_t thread = start(server);
    struct sb_address address;
    cr_assert_eq(sb_address_parse(sb_server_address(server, 0), NULL, &address, NULL), 0);
    int callers[40];
    for (int i = 0; i < 40; i++) {
        callers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        cr_assert_eq(connect(callers[i], &address.sa, address.size), 0);
    }
    for (int i = 0; i < 40; i++)
        send(callers[i], "hello", 5, MSG_NOSIGNAL);
    for (int i = 0; i < 40; i++) {
        char heard[8];
        ssize_t n;
        while ((n = recv(callers[i], heard, sizeof heard, 0)) < 0 && errno == EINTR)
            ;
        cr_expect_eq(n > 0, i >= 20, "caller %d", i);
        close(callers[i]);
    }
    sb_server_shutdown(server);
    join(thread);
    sb_server_destroy(server);
    cr_expect_leq(most_at_once, 3);
}

/* --- what needs no design ----------------------------------------------------------------------------------------- */

static int stop_from_handler(struct sb_request *request)
{
    sb_server_shutdown(sb_request_server(request));
    return sb_printf(request, "bye..");
}

Test(library, a_handler_may_shut_down_its_server_under_every_strategy)
{
    static const struct sb_handler handler = { .name = "stopper", .handle = stop_from_handler };
    for (int d = 0; d < DESIGNS; d++) {
        struct setting setting = { .design = designs[d], .family = "tcp" };
        struct sb_config config = config_for(&setting);
        struct sb_server *server;
        cr_assert_eq(sb_server_create(NULL, "127.0.0.1:0", SB_HANDLERS(&handler), &config, &server), 0);
        pthread_t thread = start(server);
        visit(server);
        join(thread);
        sb_server_destroy(server);
    }
}

Test(library, serves_several_addresses_of_several_families)
{
    struct setting setting = { .design = designs[0], .family = "tcp" };
    struct sb_config config = config_for(&setting);
    config.strategy = "thread";
    struct sb_server *server = create(&setting, &config);
    cr_assert_eq(sb_server_listen(server, "udp://127.0.0.1:0"), 0);
    cr_assert_eq(sb_server_listen(server, "unix:@switchboard-test-several"), 0);
    cr_expect_eq(strncmp(sb_server_address(server, 1), "udp://127.0.0.1:", 16), 0);
    cr_expect_str_eq(sb_server_address(server, 2), "unix:@switchboard-test-several");
    cr_expect_null(sb_server_address(server, 3));
    sb_server_destroy(server);
}

Test(library, destroys_nothing_without_complaint)
{
    sb_server_destroy(NULL);
}

/* --- handlers and their options ----------------------------------------------------------------------------------- */

static char said[1024];

static void record(void *data, enum sb_log_level level, const char *text)
{
    (void)data;
    (void)level;
    strncat(said, text, sizeof said - 1 - strlen(said));
}

struct settings {
    long number;
    bool flag;
    const char *text;
};

static const struct sb_option options[] = {
    { .name = "number", .type = SB_OPTION_LONG, .offset = offsetof(struct settings, number), .value = "7", .min = 1,
      .max = 10 },
    { .name = "flag", .type = SB_OPTION_BOOL, .offset = offsetof(struct settings, flag) },
    { .name = "text", .type = SB_OPTION_STRING, .offset = offsetof(struct settings, text), .value = "old" },
    { 0 },
};

static int show_options(struct sb_request *request);

static const struct sb_handler optioned = { .name = "optioned", .options = options, .handle = show_options,
                                            .options_size = sizeof(struct settings) };
static const struct sb_handler twin = { .name = "twin", .options = options, .handle = show_options,
                                        .options_size = sizeof(struct settings) };

static char shown[128];

static int show_options(struct sb_request *request)
{
    const struct settings *own = sb_options(request, &optioned);
    snprintf(shown, sizeof shown, "%ld %d %s", own->number, own->flag, own->text);
    return sb_printf(request, "12345");
}

static int create_with(const struct sb_handler *const *handlers, const char *const *texts, struct sb_server **server)
{
    struct sb_config config = SB_CONFIG_DEFAULTS;
    config.options = texts;
    config.log = record;
    said[0] = '\0';
    return sb_server_create(sb_tcp_server, "127.0.0.1:0", handlers, &config, server);
}

Test(library, options_have_defaults_types_and_the_last_word)
{
    struct sb_server *server;
    static const char *const texts[] = { "flag=yes", "text=a=b", "optioned.text=new", NULL };
    cr_assert_eq(create_with(SB_HANDLERS(&optioned), texts, &server), 0, "%s", said);
    pthread_t thread = start(server);
    visit(server);
    sb_server_shutdown(server);
    join(thread);
    cr_expect_str_eq(shown, "7 1 new");
    sb_server_destroy(server);
}

static void expect_option_refused(const struct sb_handler *const *handlers, const char *option, const char *reason)
{
    struct sb_server *server = NULL;
    const char *const texts[] = { option, NULL };
    cr_expect_eq(create_with(handlers, texts, &server), -EINVAL, "%s", option);
    cr_expect_not_null(strstr(said, reason), "%s: '%s'", option, said);
}

Test(library, a_wrong_option_is_refused_before_anything_is_bound)
{
    const struct sb_handler *const one[] = { &optioned, NULL };
    const struct sb_handler *const two[] = { &optioned, &twin, NULL };
    expect_option_refused(one, "number=0", "from 1 to 10");
    expect_option_refused(one, "number=11", "from 1 to 10");
    expect_option_refused(one, "number=", "whole number");
    expect_option_refused(one, "number=99999999999999999999", "whole number");
    expect_option_refused(one, "number=1.5", "whole number");
    expect_option_refused(one, "flag=maybe", "yes or no");
    expect_option_refused(one, "colour=red", "no option 'colour'");
    expect_option_refused(one, "other.number=1", "no option 'other.number'");
    expect_option_refused(one, "number", "KEY=VALUE");
    expect_option_refused(two, "number=1", "write optioned.number or twin.number");
}

Test(library, an_option_outside_its_block_is_refused)
{
    static const struct sb_handler handler = { .name = "outside", .options = options, .handle = show_options };
    struct sb_server *server = NULL;
    cr_expect_eq(create_with(SB_HANDLERS(&handler), NULL, &server), -ENOEXEC);
    cr_expect_not_null(strstr(said, "options_size"), "%s", said);
}

Test(library, a_limit_out_of_range_is_refused)
{
    struct sb_config config = SB_CONFIG_DEFAULTS;
    struct sb_server *server = NULL;
    config.log = record;
    config.queue_size = 2147483647;
    cr_expect_eq(sb_server_create(sb_pool_tcp_server, "127.0.0.1:0", SB_HANDLERS(&echo), &config, &server), -EINVAL);
    config.queue_size = 1;
    config.max_packet_size = 65536;
    cr_expect_eq(sb_server_create(sb_udp_server, "127.0.0.1:0", SB_HANDLERS(&echo), &config, &server), -EINVAL);
}

Test(library, a_list_without_a_handle_is_refused)
{
    static const struct sb_handler mixin = { .name = "mixin", .setup = show_options };
    struct sb_server *server = NULL;
    cr_expect_eq(create_with(SB_HANDLERS(&mixin), NULL, &server), -EINVAL);
    cr_expect_not_null(strstr(said, "mixin+upper"), "%s", said);
    cr_expect_eq(create_with(NULL, NULL, &server), -EINVAL);
}

/* --- a jump over us ----------------------------------------------------------------------------------------------- */

static jmp_buf above;

static int jump(struct sb_request *request)
{
    (void)request;
    longjmp(above, 1);
}

static const struct sb_handler jumper = { .name = "jumper", .handle = jump };

/* No strategy contains it: the program goes on where it has called the server, and under fork once more, in the child. */
static void check_jump(const char *strategy, bool in_child)
{
    struct sb_config config = SB_CONFIG_DEFAULTS;
    struct sb_server *server;
    struct sb_address address;
    int told[2], status;
    pid_t jumped;
    config.strategy = strategy;
    cr_assert_eq(sb_server_create(NULL, "127.0.0.1:0", SB_HANDLERS(&jumper), &config, &server), 0);
    cr_assert_eq(sb_address_parse(sb_server_address(server, 0), NULL, &address, NULL), 0);
    cr_assert_eq(pipe(told), 0);
    pid_t program = fork();
    if (program == 0) {
        if (setjmp(above) == 0)
            sb_server_serve_forever(server);
        jumped = getpid();
        _exit(write(told[1], &jumped, sizeof jumped) == sizeof jumped ? 42 : 1);
    }
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(fd, &address.sa, address.size), 0);
    cr_assert_eq(read(told[0], &jumped, sizeof jumped), (ssize_t)sizeof jumped);
    cr_expect_eq(jumped != program, in_child);
    if (in_child)
        kill(program, SIGKILL);
    cr_assert_eq(waitpid(program, &status, 0), program);
    cr_expect(in_child || (WIFEXITED(status) && WEXITSTATUS(status) == 42), "status %#x", status);
    close(fd);
    close(told[0]);
    close(told[1]);
    sb_server_destroy(server);
}

Test(library, a_jump_out_of_the_handler_goes_to_who_has_called_the_server)
{
    check_jump("serial", false);
    check_jump("fork", true);
}
