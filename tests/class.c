/* Lists of classes: resolution, super, state, and what makes no sense. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <switchboard/switchboard.h>

TestSuite(class, .timeout = 600);

static char said[4096];

static void record(void *data, enum sb_log_level level, const char *text)
{
    (void)data;
    (void)level;
    strncat(said, text, sizeof said - 1 - strlen(said));
}

static int handle(struct sb_request *request)
{
    (void)request;
    return 0;
}

static const struct sb_handler handler = { .abi_version = SB_ABI_VERSION, .struct_size = sizeof handler,
                                           .name = "nothing", .handle = handle };

static int create(const struct sb_class *const *type, const char *strategy, struct sb_server **ret_server)
{
    struct sb_config config = SB_CONFIG_DEFAULTS;
    config.strategy = strategy;
    config.log = record;
    said[0] = '\0';
    return sb_server_create(type, "tcp://127.0.0.1:0", SB_HANDLERS(&handler), &config, ret_server);
}

static void expect_refused(const char *strategy, const char *reason)
{
    struct sb_server *server = NULL;
    cr_expect_eq(create(NULL, strategy, &server), -EINVAL, "%s", strategy);
    cr_expect_null(server);
    cr_expect_not_null(strstr(said, reason), "%s: '%s'", strategy, said);
}

Test(class, a_senseless_list_is_refused_with_the_reason)
{
    expect_refused("fork+prefork", "workers come first");
    expect_refused("thread+prethread", "workers come first");
    expect_refused("pool:2+thread", "both decide");
    expect_refused("fork+thread", "both decide");
    expect_refused("pool+pool", "twice");
    expect_refused("prefork+prefork", "twice");
    expect_refused("prethread+prefork", "cannot fork safely");
    expect_refused("prethread+fork", "cannot fork safely");
    expect_refused("serial+thread", "serial stands alone");
    expect_refused("", "a name is missing");
    expect_refused("thread+", "a name is missing");
    expect_refused("pool:2+prefork:2", "write prefork+pool, not pool+prefork");
    expect_refused("threads", "no strategy 'threads'");
    expect_refused("pool:", "from 1 to");
    expect_refused("pool:0", "from 1 to");
    expect_refused("pool:-1", "from 1 to");
    expect_refused("pool:99999999999", "from 1 to");
    expect_refused("prefork:8x", "from 1 to");
    expect_refused("thread:3", "takes no argument");
    expect_refused("fiber:3", "it must be fiber, fiber:epoll or fiber:uring");
    expect_refused("fiber+thread", "both decide who handles");
    expect_refused("fiber+prefork", "write prefork+fiber");
    expect_refused("prefork+prethread+thread+pool+fork+a+b+c+d+e+f+g+h+i+j+k+l+m", "");
}

Test(class, every_sensible_list_is_taken)
{
    static const char *const lists[] = { "serial", "thread", "fork", "pool", "pool:16", "prefork", "prefork:2",
                                         "prethread:2", "prefork:2+thread", "prefork:4+pool:16", "prefork:2+fork",
                                         "prefork:2+prethread:8", "prefork:2+prethread:2+pool:2",
                                         "prethread:2+thread", "fiber", "fiber:epoll", "prefork:2+fiber",
                                         "prethread:2+fiber", "prefork:2+prethread:2+fiber" };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        struct sb_server *server;
        cr_assert_eq(create(NULL, lists[i], &server), 0, "%s: %s", lists[i], said);
        cr_expect_str_eq(sb_server_strategy(server), lists[i]);
        sb_server_destroy(server);
    }
}

Test(class, a_type_s_mixins_give_the_strategy_its_name)
{
    struct sb_server *server;
    cr_assert_eq(create(sb_threading_tcp_server, NULL, &server), 0);
    cr_expect_str_eq(sb_server_strategy(server), "thread");
    sb_server_destroy(server);
    cr_assert_eq(create(sb_tcp_server, NULL, &server), 0);
    cr_expect_str_eq(sb_server_strategy(server), "serial");
    sb_server_destroy(server);
    cr_assert_eq(create(sb_prefork_tcp_server, "thread", &server), 0);
    cr_expect_str_eq(sb_server_strategy(server), "prefork+thread");
    sb_server_destroy(server);
}

Test(class, an_address_must_be_of_the_type_s_family)
{
    struct sb_server *server = NULL;
    cr_expect_eq(create(sb_udp_server, NULL, &server), -EINVAL);
    cr_expect_not_null(strstr(said, "type udp cannot have the address tcp://"), "%s", said);
}

/* --- resolution --------------------------------------------------------------------------------------------------- */

struct trace {
    char text[64];
};

static const struct sb_class left, right;

static void note(struct sb_server *server, const char *letter)
{
    struct trace *trace = sb_server_data(server);
    strcat(trace->text, letter);
}

static void left_actions(struct sb_server *server)
{
    note(server, "l");
    ++*(int *)sb_state(server, &left);
    sb_super(server, &left)->service_actions(server);
}

static void right_actions(struct sb_server *server)
{
    note(server, "r");
    *(int *)sb_state(server, &right) += 10;
    sb_super(server, &right)->service_actions(server);
}

static void right_timeout(struct sb_server *server)
{
    note(server, "t");
}

static int left_init(struct sb_server *server, const char *argument)
{
    note(server, argument ? argument : "L");
    return 0;
}

static int right_init(struct sb_server *server, const char *argument)
{
    note(server, argument ? argument : "R");
    return 0;
}

static void left_finish(struct sb_server *server)
{
    note(server, "F");
}

static void left_begin(struct sb_server *server)
{
    note(server, "b");
}

static void right_begin(struct sb_server *server)
{
    note(server, "B");
}

static const struct sb_class left = { .name = "left", .state_size = sizeof(int), .init = left_init,
                                      .finish = left_finish, .begin = left_begin,
                                      .service_actions = left_actions };
static const struct sb_class right = { .name = "right", .state_size = sizeof(int), .init = right_init,
                                       .begin = right_begin, .service_actions = right_actions,
                                       .handle_timeout = right_timeout };

Test(class, the_leftmost_wins_super_goes_on_and_each_has_its_state)
{
    static const struct sb_class *const type[] = { &left, &right, &sb_tcp_class, NULL };
    struct trace trace = { "" };
    struct sb_server *server;
    struct sb_config config = SB_CONFIG_DEFAULTS;
    config.data = &trace;
    config.timeout_ms = 0;
    cr_assert_eq(sb_server_create(type, "127.0.0.1:0", SB_HANDLERS(&handler), &config, &server), 0);
    cr_expect_str_eq(trace.text, "RLBb", "init, then begin, from the last class to the first: %s", trace.text);

    cr_expect_eq(sb_server_handle_request(server), 0);
    cr_expect_str_eq(trace.text, "RLBbt", "handle_timeout is inherited: %s", trace.text);

    /* What stands in front of left is nothing: the server's own method is left's. */
    left.service_actions(server);
    cr_expect_str_eq(trace.text, "RLBbtlr", "%s", trace.text);
    cr_expect_eq(*(int *)sb_state(server, &left), 1);
    cr_expect_eq(*(int *)sb_state(server, &right), 10);
    cr_expect_null(sb_state(server, &sb_pool_mixin));
    sb_server_destroy(server);
    cr_expect_str_eq(trace.text, "RLBbtlrF");
}

static int blocks_seen;

static bool look_at_blocks(struct sb_request *request);

static const struct sb_class wide = { .name = "wide", .request_size = 100, .verify_request = look_at_blocks };
static const struct sb_class narrow = { .name = "narrow", .request_size = 1 };

/* The second request is in the memory of the first, which has left something there. */
static bool look_at_blocks(struct sb_request *request)
{
    char *first = sb_request_state(request, &wide), *second = sb_request_state(request, &narrow);
    cr_assert(first && second);
    cr_expect_eq((uintptr_t)first % 16, 0);
    cr_expect_eq((uintptr_t)second % 16, 0);
    cr_expect(second >= first + 100 || first > second);
    for (int i = 0; i < 100; i++)
        cr_expect_eq(first[i], 0);
    cr_expect_eq(*second, 0);
    memset(first, 1, 100);
    *second = 2;
    cr_expect_null(sb_request_state(request, &left), "it asks for none");
    cr_expect_null(sb_request_state(request, &sb_pool_mixin), "it is not in the list");
    blocks_seen++;
    return true;
}

Test(class, each_has_its_bytes_in_each_request_zeroed)
{
    static const struct sb_class *const type[] = { &wide, &left, &narrow, &sb_udp_class, &sb_tcp_class, NULL };
    struct trace trace = { "" };
    struct sb_config config = SB_CONFIG_DEFAULTS;
    struct sb_address address;
    struct sb_server *server;
    config.data = &trace;
    cr_assert_eq(sb_server_create(type, "127.0.0.1:0", SB_HANDLERS(&handler), &config, &server), 0);
    cr_assert_eq(sb_address_parse(sb_server_address(server, 0), NULL, &address, NULL), 0);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(sendto(fd, "x", 1, 0, &address.sa, address.size), 1);
        cr_expect_eq(sb_server_handle_request(server), 1);
    }
    cr_expect_eq(blocks_seen, 3);
    close(fd);
    sb_server_destroy(server);
}

Test(class, the_table_behind_a_class_is_complete)
{
    static const struct sb_class *const type[] = { &left, &sb_tcp_class, NULL };
    struct trace trace = { "" };
    struct sb_server *server;
    struct sb_config config = SB_CONFIG_DEFAULTS;
    config.data = &trace;
    cr_assert_eq(sb_server_create(type, "127.0.0.1:0", SB_HANDLERS(&handler), &config, &server), 0);
    const struct sb_class *super = sb_super(server, &left);
    cr_expect(super->server_bind && super->server_activate && super->get_request && super->serve_forever);
    cr_expect(super->verify_request && super->process_request && super->finish_request && super->shutdown_request);
    cr_expect(super->close_request && super->handle_error && super->handle_timeout && super->service_actions);
    cr_expect(super->server_close && super->wait);
    sb_server_destroy(server);
}

/* --- addresses ---------------------------------------------------------------------------------------------------- */

/* names.c; 240.0.0.0/4 is reserved, so no machine has it. */
static int create_named(const struct sb_class *const *type, const char *address, struct sb_server **ret_server)
{
    struct sb_config config = SB_CONFIG_DEFAULTS;
    config.log = record;
    said[0] = '\0';
    setenv("NAMES", "both.test=::1,127.0.0.1 part.test=240.0.0.1,127.0.0.1 none.test=240.0.0.1,240.0.0.2", 1);
    return sb_server_create(type, address, SB_HANDLERS(&handler), &config, ret_server);
}

static const char *port_of(const struct sb_server *server, unsigned n)
{
    return strrchr(sb_server_address(server, n), ':') + 1;
}

static void expect_both(const char *scheme)
{
    struct sb_server *server;
    char text[64];
    snprintf(text, sizeof text, "%s://both.test:0", scheme);
    cr_assert_eq(create_named(NULL, text, &server), 0, "%s", said);
    snprintf(text, sizeof text, "%s://[::1]:%s", scheme, port_of(server, 1));
    cr_expect_str_eq(sb_server_address(server, 0), text);
    snprintf(text, sizeof text, "%s://127.0.0.1:%s", scheme, port_of(server, 0));
    cr_expect_str_eq(sb_server_address(server, 1), text);
    cr_expect_null(sb_server_address(server, 2));
    cr_expect_str_eq(said, "");
    sb_server_destroy(server);
}

Test(class, a_server_has_all_addresses_of_a_name_and_one_port)
{
    expect_both("tcp");
    expect_both("udp");
}

Test(class, an_address_that_the_machine_does_not_have_is_passed_over_if_there_is_another)
{
    struct sb_server *server;
    cr_assert_eq(create_named(NULL, "tcp://part.test:0", &server), 0, "%s", said);
    cr_expect(strncmp(sb_server_address(server, 0), "tcp://127.0.0.1:", 16) == 0, "%s", sb_server_address(server, 0));
    cr_expect_null(sb_server_address(server, 1));
    cr_expect_not_null(strstr(said, "cannot bind tcp://240.0.0.1:0"), "%s", said);
    cr_expect_eq(sb_server_listen(server, "tcp://none.test:0"), -EADDRNOTAVAIL);
    cr_expect_not_null(strstr(said, "cannot bind any of 2 addresses"), "%s", said);
    cr_expect_eq(sb_server_listen(server, "tcp://240.0.0.1:0"), -EADDRNOTAVAIL);
    cr_expect_null(sb_server_address(server, 1));
    sb_server_destroy(server);
}

Test(class, a_name_with_a_taken_address_is_undone)
{
    struct sb_server *taken, *server;
    char text[64];
    cr_assert_eq(create_named(NULL, "tcp://127.0.0.1:0", &taken), 0);
    snprintf(text, sizeof text, "both.test:%s", port_of(taken, 0));
    cr_expect_eq(create_named(NULL, text, &server), -EADDRINUSE);
    snprintf(text, sizeof text, "[::1]:%s", port_of(taken, 0));
    cr_expect_eq(create_named(NULL, text, &server), 0, "it is free again: %s", said);
    snprintf(text, sizeof text, "both.test:%s", port_of(taken, 0));
    cr_expect_eq(sb_server_listen(server, text), -EADDRINUSE);
    cr_expect_null(sb_server_address(server, 1));
    sb_server_destroy(server);
    sb_server_destroy(taken);
}

static const struct sb_class occupied;
static int binds;

/* The second time its port is another's. */
static int occupied_bind(struct sb_listener *listener)
{
    return ++binds == 2 ? -EADDRINUSE : sb_super(sb_listener_server(listener), &occupied)->server_bind(listener);
}

static const struct sb_class occupied = { .name = "occupied", .server_bind = occupied_bind };

Test(class, where_the_chosen_port_is_taken_another_address_has_its_own)
{
    static const struct sb_class *const type[] = { &occupied, &sb_tcp_class, NULL };
    struct sb_server *server;
    cr_assert_eq(create_named(type, "both.test:0", &server), 0, "%s", said);
    cr_expect_eq(binds, 3);
    cr_expect_neq(atoi(port_of(server, 1)), 0);
    cr_expect_null(sb_server_address(server, 2));
    sb_server_destroy(server);
}
