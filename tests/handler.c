/* What a server asks of its handlers before it binds: configure, the framing option, and who may listen where. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <switchboard/switchboard.h>

TestSuite(handler, .timeout = 600);

static char said[4096];

static void record(void *data, enum sb_log_level level, const char *text)
{
    (void)data;
    (void)level;
    size_t length = strlen(said);
    snprintf(said + length, sizeof said - length, "%s\n", text);
}

/* Makes a server and ends it; returns what sb_server_create() did. */
static int create(const char *address, const struct sb_handler *const *handlers, const char *option, bool force)
{
    struct sb_config config = SB_CONFIG_DEFAULTS;
    struct sb_server *server = NULL;
    const char *const options[] = { option, NULL };
    config.log = record;
    config.force = force;
    config.options = options;
    said[0] = '\0';
    int r = sb_server_create(NULL, address, handlers, &config, &server);
    sb_server_destroy(server);
    return r;
}

static int handle(struct sb_request *request)
{
    (void)request;
    return 0;
}

/* --- configure and release ---------------------------------------------------------------------------------------- */

struct options {
    long number, square;
};

static const struct sb_option option_table[] = {
    { .name = "number", .type = SB_OPTION_LONG, .offset = offsetof(struct options, number), .value = "7" },
    { .name = NULL },
};

static char events[128];

static int on_configure(struct sb_server *server, void *block)
{
    struct options *options = block;
    options->square = options->number * options->number;
    sprintf(events + strlen(events), "configure %ld;", options->number);
    if (options->number == 13)
        sb_server_log(server, SB_LOG_ERROR, "13 is no number for me");
    return options->number == 13 ? -ERANGE : 0;
}

static void on_release(void *block)
{
    sprintf(events + strlen(events), "release %ld;", ((struct options *)block)->square);
}

static const struct sb_handler configured = { .name = "configured", .options = option_table, .handle = handle,
                                              .options_size = sizeof(struct options), .configure = on_configure,
                                              .release = on_release };

Test(handler, is_configured_once_before_an_address_is_bound_and_released_at_the_end)
{
    cr_expect_eq(create("tcp://127.0.0.1:0", SB_HANDLERS(&configured), "number=3", false), 0);
    cr_expect_str_eq(events, "configure 3;release 9;");
    events[0] = '\0';
    cr_expect_lt(create("tcp://nowhere", SB_HANDLERS(&configured), "number=4", false), 0);
    cr_expect_str_eq(events, "configure 4;release 16;");
}

Test(handler, that_cannot_be_configured_stops_the_server_and_is_not_released)
{
    cr_expect_eq(create("tcp://127.0.0.1:0", SB_HANDLERS(&configured), "number=13", false), -ERANGE);
    cr_expect_str_eq(events, "configure 13;");
    cr_expect_str_eq(said, "13 is no number for me\n");
}

static int recurse(struct sb_request *request)
{
    return sb_super_setup(request, NULL);
}

Test(handler, does_not_stand_in_a_list_twice)
{
    cr_expect_eq(create("tcp://127.0.0.1:0", SB_HANDLERS(&configured, &configured), NULL, false), -EINVAL);
    cr_expect_str_eq(said, "the handler configured stands in the list twice\n");
}

/* --- framing ------------------------------------------------------------------------------------------------------ */

static const struct sb_option frame_option[] = { SB_FRAME_OPTION, { .name = NULL } };
static const struct sb_handler framed = { .name = "framed", .options = frame_option, .handle = handle };
static const struct sb_handler also_framed = { .name = "also", .options = frame_option, .handle = handle };

Test(handler, takes_framings_by_name_and_no_others)
{
    cr_expect_eq(create("tcp://127.0.0.1:0", SB_HANDLERS(&framed), "frame=line/ready", false), 0);
    cr_expect_eq(create("tcp://127.0.0.1:0", SB_HANDLERS(&framed), "frame=text3", false), -EINVAL);
    cr_expect_str_eq(said, "handler framed: the option frame=text3 is wrong: it must be none, text2, text8, ready, "
                     "i32, u32, line or netstring, or two of them: CALLER/SERVER\n");
    cr_expect_eq(create("tcp://127.0.0.1:0", SB_HANDLERS(&framed), "frame=ready/none", false), -EINVAL);
    cr_expect(strstr(said, "only the server can frame by ready"), "%s", said);
    cr_expect_eq(create("tcp://127.0.0.1:0", SB_HANDLERS(&framed, &also_framed), "frame=u32", false), -EINVAL);
    cr_expect(strstr(said, "write framed.frame or also.frame"), "%s", said);
}

Test(handler, that_sends_lines_is_refused_where_a_line_is_a_message)
{
    static const struct sb_handler teller = { .name = "teller", .traits = SB_SENDS_LINES, .options = frame_option,
                                              .handle = handle };
    static const char *const good[] = { "frame=none", "frame=u32", "frame=netstring", "frame=line/u32" };
    static const char *const bad[] = { "frame=line", "frame=u32/line" };
    for (int i = 0; i < 4; i++)
        cr_expect_eq(create("tcp://127.0.0.1:0", SB_HANDLERS(&teller), good[i], false), 0, "%s", good[i]);
    for (int i = 0; i < 2; i++) {
        cr_expect_eq(create("tcp://127.0.0.1:0", SB_HANDLERS(&teller), bad[i], true), -EINVAL);
        cr_expect(strstr(said, "teller does not suit frame=line"), "%s", said);
    }
}

/* --- dangerous handlers ------------------------------------------------------------------------------------------- */

static const struct sb_handler dangerous = { .name = "dangerous", .traits = SB_LOCAL_ONLY, .handle = handle };
static const struct sb_handler doorkeeper = { .name = "doorkeeper", .traits = SB_AUTHENTICATES, .setup = handle };

Test(handler, that_is_dangerous_is_served_to_this_machine)
{
    static const char *const addresses[] = { "127.0.0.1:0", "127.7.7.7:0", "[::1]:0", "udp://127.0.0.1:0",
                                             "unix:@sb-test-handler", "[::ffff:127.0.0.1]:0" };
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        int r = create(addresses[i], SB_HANDLERS(&dangerous), NULL, false);
        cr_expect(r == 0 || r == -EADDRNOTAVAIL || r == -EAFNOSUPPORT, "%s: %s", addresses[i], said);
    }
}

static const char *const open_addresses[] = { "0.0.0.0:0", "[::]:0", ":0", "192.0.2.1:0", "udp://0.0.0.0:0",
                                              "[2001:db8::1]:0" };

Test(handler, that_is_dangerous_is_never_served_to_strangers_not_even_forced)
{
    for (size_t i = 0; i < sizeof open_addresses / sizeof *open_addresses; i++)
        for (int force = 0; force < 2; force++) {
            cr_expect_eq(create(open_addresses[i], SB_HANDLERS(&dangerous), NULL, force), -EINVAL, "%s", said);
            cr_expect(strstr(said, "or put auth in front and --force it"), "%s", said);
            cr_expect_eq(create(open_addresses[i], SB_HANDLERS(&dangerous, &doorkeeper), NULL, force), -EINVAL,
                         "a doorkeeper behind the house keeps nobody out");
        }
}

Test(handler, that_authenticates_must_be_reached_for_strangers_to_be_served)
{
    static const struct sb_handler front = { .name = "front", .setup = recurse };
    cr_expect_eq(create("0.0.0.0:0", SB_HANDLERS(&front, &doorkeeper, &dangerous), NULL, true), -EINVAL);
}

Test(handler, that_is_dangerous_is_served_to_strangers_behind_authentication_when_forced)
{
    cr_expect_eq(create("0.0.0.0:0", SB_HANDLERS(&doorkeeper, &dangerous), NULL, false), -EINVAL);
    cr_expect(strstr(said, "--force if they may have it once they are authenticated"), "%s", said);
    cr_expect_eq(create("0.0.0.0:0", SB_HANDLERS(&doorkeeper, &dangerous), NULL, true), 0);
    cr_expect(strstr(said, "(forced)"), "%s", said);
}
