/* switchboard serve: a handler at an address with a strategy. What it promises: switchboard-serve(1). */
#include "../commands.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <switchboard/switchboard.h>
#include <unistd.h>

#include "../arguments.h"
#include "../plugins.h"
#include "../program.h"
#include "../signals.h"
#include "identity.h"

#define DEFAULT_IDLE_TIMEOUT_MS 300000
#define UNSET (-2)
#define ITEMS_MAX 64

struct arguments {
    struct sb_config config;
    const char *handler;
    const char *addresses[ITEMS_MAX + 1];
    const char *options[ITEMS_MAX + 1];
    bool once;
    const char *user, *group;
};

enum {
    ONCE = 256, TIMEOUT, BACKLOG, MAX_CONNECTIONS, QUEUE, MAX_CHILDREN, MAX_REQUESTS, MAX_PACKET, IDLE_TIMEOUT,
    DRAIN_TIMEOUT, STACK_SIZE, SPIN, TRACE, REUSE_PORT, NODELAY, USER, GROUP,
};

static const struct argp_option option_table[] = {
    { "strategy", 's', "LIST", 0, "serial, thread, fork, fiber, pool:N, prefork:N, prethread:N, your own ./FILE.so, or "
      "several with plus signs: prefork:4+pool:16 (default thread)", 1 },
    { "accept", 'a', "DISCIPLINE", 0, "how workers share a listener: shared, mutex, flock, pass or reuseport "
      "(default shared)", 1 },
    { "option", 'o', "KEY=VALUE", 0, "an option of the handler; HANDLER.KEY=VALUE where two have it", 1 },
    { "once", ONCE, NULL, 0, "serve one request, then exit", 2 },
    { "timeout", TIMEOUT, "SECONDS", 0, "how long --once waits for it (default: no limit)", 2 },
    { "backlog", BACKLOG, "N", 0, "connections the kernel keeps waiting (default 4096)", 3 },
    { "max-connections", MAX_CONNECTIONS, "N", 0, "requests at once; more wait in the backlog (default 1000)", 3 },
    { "queue", QUEUE, "N", 0, "of pool: requests accepted and waiting for a thread (default 128)", 3 },
    { "max-children", MAX_CHILDREN, "N", 0, "of fork: children at once (default 256)", 3 },
    { "max-requests", MAX_REQUESTS, "N", 0, "of prefork: replace a worker after N requests (default: never)", 3 },
    { "max-packet-size", MAX_PACKET, "BYTES", 0, "the longest datagram (default 65535)", 3 },
    { "idle-timeout", IDLE_TIMEOUT, "SECONDS", 0, "give up a caller that is silent this long, 0: never (default 300)",
      3 },
    { "drain-timeout", DRAIN_TIMEOUT, "SECONDS", 0, "how long running requests may go on after a stop "
      "(default 5), with --once without limit", 3 },
    { "stack-size", STACK_SIZE, "BYTES", 0, "of fiber: the stack of each (default 65536)", 3 },
    { "spin", SPIN, "MICROSECONDS", 0, "of fiber: look for work so long before sleeping (default 0)", 3 },
    { "trace", TRACE, "N", 0, "write down the first N changes of state on the scoreboard (default 0)", 3 },
    { "reuse-port", REUSE_PORT, NULL, 0, "let other servers share the port (SO_REUSEPORT)", 4 },
    { "nodelay", NODELAY, NULL, 0, "send small pieces at once (TCP_NODELAY)", 4 },
    { "user", USER, "NAME", 0, "become this user once the addresses are bound", 4 },
    { "group", GROUP, "NAME", 0, "become this group once the addresses are bound", 4 },
    { "force", 'f', NULL, 0, "run a handler where its traits forbid it", 5 },
    { "verbose", 'v', NULL, 0, "log each accept, receive and close", 5 },
    { "quiet", 'q', NULL, 0, "log errors only", 5 },
    { 0 },
};

/* --- the command line --------------------------------------------------------------------------------------------- */

static int parse_accept(struct argp_state *state, const char *text)
{
    int discipline = sb_discipline_parse(text);
    if (discipline < 0)
        argp_failure(state, 2, 0, "--accept=%s: it must be shared, mutex, flock, pass or reuseport", text);
    return discipline;
}

#define OWN(member) offsetof(struct arguments, member)

static const struct argument argument_table[] = {
    { 's', ARGUMENT_TEXT, OWN(config.strategy), 0, 0 },
    { 'o', ARGUMENT_LIST, OWN(options), 0, ITEMS_MAX },
    { ONCE, ARGUMENT_FLAG, OWN(once), 0, 0 },
    { TIMEOUT, ARGUMENT_MS, OWN(config.timeout_ms), 0, ARGUMENT_SECONDS_MAX },
    { BACKLOG, ARGUMENT_NUMBER, OWN(config.request_queue_size), 0, 65535 },
    { MAX_CONNECTIONS, ARGUMENT_NUMBER, OWN(config.max_connections), 1, 1000000 },
    { QUEUE, ARGUMENT_NUMBER, OWN(config.queue_size), 1, 1000000 },
    { MAX_CHILDREN, ARGUMENT_NUMBER, OWN(config.max_children), 1, 100000 },
    { MAX_REQUESTS, ARGUMENT_NUMBER, OWN(config.max_requests), 1, 1000000000 },
    { MAX_PACKET, ARGUMENT_NUMBER, OWN(config.max_packet_size), 1, 65535 },
    { IDLE_TIMEOUT, ARGUMENT_MS, OWN(config.idle_timeout_ms), 0, ARGUMENT_SECONDS_MAX },
    { DRAIN_TIMEOUT, ARGUMENT_MS, OWN(config.drain_timeout_ms), 0, ARGUMENT_SECONDS_MAX },
    { STACK_SIZE, ARGUMENT_NUMBER, OWN(config.stack_size), 16384, 1 << 30 },
    { SPIN, ARGUMENT_NUMBER, OWN(config.spin_us), 0, 1000000 },
    { TRACE, ARGUMENT_NUMBER, OWN(config.trace), 0, 1000000 },
    { REUSE_PORT, ARGUMENT_FLAG, OWN(config.allow_reuse_port), 0, 0 },
    { NODELAY, ARGUMENT_FLAG, OWN(config.disable_nagle_algorithm), 0, 0 },
    { USER, ARGUMENT_TEXT, OWN(user), 0, 0 },
    { GROUP, ARGUMENT_TEXT, OWN(group), 0, 0 },
    { 'f', ARGUMENT_FLAG, OWN(config.force), 0, 0 },
    { 0 },
};

static void take_word(struct argp_state *state, struct arguments *arguments, const char *word)
{
    if (!arguments->handler)
        arguments->handler = word;
    else
        argument_add(state, "ADDRESS", arguments->addresses, ITEMS_MAX, word);
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case 'a':
        arguments->config.accept = parse_accept(state, text);
        return 0;
    case 'v':
        arguments->config.log_level = SB_LOG_DEBUG;
        return 0;
    case 'q':
        arguments->config.log_level = SB_LOG_ERROR;
        return 0;
    case ARGP_KEY_ARG:
        take_word(state, arguments, text);
        return 0;
    case ARGP_KEY_END:
        if (!arguments->handler)
            argp_failure(state, 2, 0, "the handler is missing: 'switchboard list handlers' names them");
        if (arguments->once && arguments->config.accept == SB_ACCEPT_REUSEPORT)
            argp_failure(state, 2, 0, "--once: under reuseport each worker has a listener, and one request alone would "
                         "wait at the wrong one; choose --accept=shared");
        return 0;
    default:
        return argument_take(argument_table, key, text, state);
    }
}

static const struct argp argp = {
    .options = option_table,
    .parser = parse,
    .args_doc = "HANDLER [ADDRESS]...",
    .doc = "Serve a handler.\vADDRESS is tcp://HOST:PORT, udp://HOST:PORT, unix:PATH or unixgram:PATH; without one, "
           ARGUMENT_DEFAULT_ADDRESS ". See switchboard-serve(1).",
};

/* Of what was not said it takes the values that depend on what was. */
static void parse_arguments(int argc, char **argv, struct arguments *arguments)
{
    static const struct sb_config defaults = SB_CONFIG_DEFAULTS;
    struct sb_config *config = &arguments->config;
    *config = defaults;
    config->strategy = "thread";
    config->idle_timeout_ms = DEFAULT_IDLE_TIMEOUT_MS;
    config->drain_timeout_ms = UNSET;
    argument_parse(&argp, argc, argv, arguments);
    config->options = arguments->options;
    if (config->idle_timeout_ms == 0)
        config->idle_timeout_ms = -1;
    /* The one request of --once is what close waits for. */
    if (config->drain_timeout_ms == UNSET)
        config->drain_timeout_ms = arguments->once ? -1 : defaults.drain_timeout_ms;
    if (!arguments->addresses[0])
        arguments->addresses[0] = ARGUMENT_DEFAULT_ADDRESS;
}

/* --- handlers ----------------------------------------------------------------------------------------------------- */

/* "auth+upper" to a NULL-terminated list. A name that is none is -EINVAL, as a strategy's; a file may be missing. */
static int load_handlers(char *names, const struct sb_handler **handlers)
{
    int count = 0;
    for (char *name; (name = strsep(&names, "+")) != NULL; count++) {
        char *why = NULL;
        if (count == ITEMS_MAX - 1) {
            fprintf(stderr, "switchboard: too many handlers in one list\n");
            return -EINVAL;
        }
        int r = sb_plugin_load_handler(name, handler_path(), &handlers[count], &why);
        if (r < 0) {
            fprintf(stderr, "switchboard: cannot load the handler %s: %s\n", name, why ? why : strerror(-r));
            free(why);
            return r == -ENOENT && !strchr(name, '/') ? -EINVAL : r;
        }
    }
    handlers[count] = NULL;
    return 0;
}

/* --- serving ------------------------------------------------------------------------------------------------------ */

static struct sb_server *server;    /* NULL: not yet, or no longer */

static int unheard;                 /* why the ready line could not be written: -errno */
static volatile sig_atomic_t stopped;
static volatile sig_atomic_t answered;      /* of --once: its request has been taken, and has no limit any more */

static void stop(int signo)
{
    stopped = signo;
    if (server && (signo == SIGQUIT || answered))
        sb_server_stop_now(server);
    else if (server)
        sb_server_stop(server);
}

static void catch_signals(void)
{
    signals_end_by(SIGINT, stop);
    signals_end_by(SIGTERM, stop);
    signals_end_by(SIGHUP, stop);
    signals_end_by(SIGQUIT, stop);
    signals_survive(SIGPIPE);
    signal(SIGCHLD, SIG_DFL);   /* ignored, the children of handlers would vanish before anybody waits for them */
}

/* When a first loop can take a call. Nobody would know of a server that cannot say so. */
static void announce(void *data)
{
    const char *address;
    (void)data;
    for (unsigned i = 0; (address = sb_server_address(server, i)) != NULL; i++)
        printf("listening %s handler=%s strategy=%s pid=%d\n", address, sb_server_handler_name(server),
               sb_server_strategy(server), (int)getpid());
    unheard = program_flush();
    if (unheard < 0)
        sb_server_stop(server);
}

static int create(const struct arguments *arguments, const struct sb_handler *const *handlers)
{
    struct sb_config config = arguments->config;
    config.ready = announce;
    int r = sb_server_create(NULL, arguments->addresses[0], handlers, &config, &server);
    for (int i = 1; r == 0 && arguments->addresses[i]; i++)
        r = sb_server_listen(server, arguments->addresses[i]);
    return r;
}

static int serve_once(const struct arguments *arguments)
{
    int r = sb_server_handle_request(server);
    answered = r == 1;
    if (r != 0 || stopped)
        return r < 0 ? r : 0;
    fprintf(stderr, "switchboard: no request came within %g s\n", arguments->config.timeout_ms / 1000.0);
    return -ETIMEDOUT;
}

static int run(const struct arguments *arguments, const struct identity *identity)
{
    int r = identity_become(identity);
    if (r < 0)
        return r;
    if (stopped)                /* before there was a server */
        sb_server_stop(server);
    r = arguments->once ? serve_once(arguments) : sb_server_serve_forever(server);
    if (unheard < 0)
        r = unheard;
    sb_server_close(server);    /* which may take a while; until then it can be told to hurry */
    return r;
}

/* What somebody has written is wrong, whatever the machine is like. */
static bool is_misuse(int error)
{
    return error == -EINVAL || error == -ENAMETOOLONG;
}

int serve_main(int argc, char **argv)
{
    struct arguments arguments = { 0 };
    const struct sb_handler *handlers[ITEMS_MAX];
    struct identity identity;
    parse_arguments(argc, argv, &arguments);
    catch_signals();
    char *names = strdup(arguments.handler);
    int r = names ? load_handlers(names, handlers) : -ENOMEM;
    if (!names)
        fprintf(stderr, "switchboard: out of memory\n");
    if (r == 0)
        r = identity_find(arguments.user, arguments.group, &identity);
    if (r == 0)
        r = create(&arguments, handlers);
    int status = is_misuse(r) ? 2 : r < 0;
    if (r == 0)
        status = run(&arguments, &identity) < 0;
    struct sb_server *ended = server;
    server = NULL;
    sb_server_destroy(ended);
    free(names);
    return status;
}
