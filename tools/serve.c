#include "commands.h"

#include <argp.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <switchboard/switchboard.h>
#include <unistd.h>

#include "arguments.h"
#include "plugins.h"

#define DEFAULT_ADDRESS "tcp://127.0.0.1:8081"
#define DEFAULT_IDLE_TIMEOUT_MS 300000
#define UNSET (-2)
#define ITEMS_MAX 64

struct arguments {
    struct sb_config config;
    const char *handler;
    const char *addresses[ITEMS_MAX];
    int n_addresses;
    const char *options[ITEMS_MAX + 1];
    int n_options;
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

static int parse_seconds(struct argp_state *state, const char *name, const char *text)
{
    char *end;
    double seconds = strtod(text, &end);
    if (end == text || *end != '\0' || !(seconds >= 0 && seconds <= 1e6))
        argp_failure(state, 2, 0, "--%s=%s: it must be a number of seconds from 0 to 1000000", name, text);
    return (int)(seconds * 1000 + 0.5);
}

static int parse_accept(struct argp_state *state, const char *text)
{
    int discipline = sb_discipline_parse(text);
    if (discipline < 0)
        argp_failure(state, 2, 0, "--accept=%s: it must be shared, mutex, flock, pass or reuseport", text);
    return discipline;
}

static void add_item(struct argp_state *state, const char **items, int *count, const char *item, const char *what)
{
    if (*count == ITEMS_MAX)
        argp_failure(state, 2, 0, "at most %d %s", ITEMS_MAX, what);
    items[(*count)++] = item;
}

static void parse_positional(struct argp_state *state, struct arguments *arguments, const char *text)
{
    if (!arguments->handler)
        arguments->handler = text;
    else
        add_item(state, arguments->addresses, &arguments->n_addresses, text, "addresses");
}

static const struct limit {
    int key;
    const char *name;
    size_t offset;      /* of an int in struct sb_config */
    long min, max;      /* both 0: seconds, kept as milliseconds */
} limits[] = {
    { BACKLOG, "backlog", offsetof(struct sb_config, request_queue_size), 0, 65535 },
    { MAX_CONNECTIONS, "max-connections", offsetof(struct sb_config, max_connections), 1, 1000000 },
    { QUEUE, "queue", offsetof(struct sb_config, queue_size), 1, 1000000 },
    { MAX_CHILDREN, "max-children", offsetof(struct sb_config, max_children), 1, 100000 },
    { MAX_REQUESTS, "max-requests", offsetof(struct sb_config, max_requests), 1, 1000000000 },
    { MAX_PACKET, "max-packet-size", offsetof(struct sb_config, max_packet_size), 1, 65535 },
    { STACK_SIZE, "stack-size", offsetof(struct sb_config, stack_size), 16384, 1 << 30 },
    { SPIN, "spin", offsetof(struct sb_config, spin_us), 0, 1000000 },
    { TRACE, "trace", offsetof(struct sb_config, trace), 0, 1000000 },
    { TIMEOUT, "timeout", offsetof(struct sb_config, timeout_ms), 0, 0 },
    { IDLE_TIMEOUT, "idle-timeout", offsetof(struct sb_config, idle_timeout_ms), 0, 0 },
    { DRAIN_TIMEOUT, "drain-timeout", offsetof(struct sb_config, drain_timeout_ms), 0, 0 },
};

static error_t parse_limit(int key, const char *text, struct argp_state *state)
{
    struct sb_config *config = &((struct arguments *)state->input)->config;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        const struct limit *limit = &limits[i];
        if (limit->key != key)
            continue;
        *(int *)((char *)config + limit->offset) =
            limit->max ? argument_number(state, limit->name, text, limit->min, limit->max)
                       : parse_seconds(state, limit->name, text);
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    struct sb_config *config = &arguments->config;
    switch (key) {
    case 's':
        config->strategy = text;
        return 0;
    case 'a':
        config->accept = parse_accept(state, text);
        return 0;
    case 'o':
        add_item(state, arguments->options, &arguments->n_options, text, "options");
        return 0;
    case ONCE:
        arguments->once = true;
        return 0;
    case REUSE_PORT:
        config->allow_reuse_port = true;
        return 0;
    case NODELAY:
        config->disable_nagle_algorithm = true;
        return 0;
    case USER:
        arguments->user = text;
        return 0;
    case GROUP:
        arguments->group = text;
        return 0;
    case 'f':
        config->force = true;
        return 0;
    case 'v':
        config->log_level = SB_LOG_DEBUG;
        return 0;
    case 'q':
        config->log_level = SB_LOG_ERROR;
        return 0;
    case ARGP_KEY_ARG:
        parse_positional(state, arguments, text);
        return 0;
    case ARGP_KEY_END:
        if (!arguments->handler)
            argp_failure(state, 2, 0, "the handler is missing: 'switchboard list handlers' names them");
        return 0;
    default:
        return parse_limit(key, text, state);
    }
}

/* --- handlers ----------------------------------------------------------------------------------------------------- */

/* "auth+upper" to a NULL-terminated list. */
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
            return r;
        }
    }
    handlers[count] = NULL;
    return 0;
}

/* --- users -------------------------------------------------------------------------------------------------------- */

struct identity {
    bool changes;
    uid_t uid;
    gid_t gid;
    const char *user;
};

static int find_identity(const struct arguments *arguments, struct identity *identity)
{
    *identity = (struct identity){ .changes = arguments->user || arguments->group, .uid = getuid(), .gid = getgid() };
    struct passwd *user = arguments->user ? getpwnam(arguments->user) : NULL;
    struct group *group = arguments->group ? getgrnam(arguments->group) : NULL;
    if (arguments->user && !user) {
        fprintf(stderr, "switchboard: there is no user '%s'\n", arguments->user);
        return -EINVAL;
    }
    if (arguments->group && !group) {
        fprintf(stderr, "switchboard: there is no group '%s'\n", arguments->group);
        return -EINVAL;
    }
    if (user) {
        identity->user = arguments->user;
        identity->uid = user->pw_uid;
        identity->gid = user->pw_gid;
    }
    if (group)
        identity->gid = group->gr_gid;
    return 0;
}

static int become(const struct identity *identity)
{
    if (!identity->changes)
        return 0;
    int r = identity->user ? initgroups(identity->user, identity->gid) : setgroups(1, &identity->gid);
    if (r == 0 && setgid(identity->gid) == 0 && setuid(identity->uid) == 0)
        return 0;
    fprintf(stderr, "switchboard: cannot become another user or group: %s; only root can\n", strerror(errno));
    return -EPERM;
}

/* --- serving ------------------------------------------------------------------------------------------------------ */

static struct sb_server *server;

static volatile sig_atomic_t stopped;

static void on_signal(int signo)
{
    stopped = signo;
    sb_server_stop(server);
}

/* The first signal of a kind stops, a second one finds the default and ends at once. */
static void catch_signals(void)
{
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESETHAND };
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);   /* ignored, the children of handlers would vanish before anybody waits for them */
}

static void release_signals(void)
{
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
}

static int announce(void)
{
    const char *address;
    for (unsigned i = 0; (address = sb_server_address(server, i)) != NULL; i++)
        printf("listening %s handler=%s strategy=%s pid=%d\n", address, sb_server_handler_name(server),
               sb_server_strategy(server), (int)getpid());
    if (fflush(stdout) == 0)
        return 0;
    fprintf(stderr, "switchboard: cannot write to standard output: %s\n", strerror(errno));
    return -EIO;
}

static int create(struct arguments *arguments, const struct sb_handler *const *handlers)
{
    if (arguments->n_addresses == 0)
        arguments->addresses[arguments->n_addresses++] = DEFAULT_ADDRESS;
    arguments->config.options = arguments->options;
    int r = sb_server_create(NULL, arguments->addresses[0], handlers, &arguments->config, &server);
    for (int i = 1; r == 0 && i < arguments->n_addresses; i++)
        r = sb_server_listen(server, arguments->addresses[i]);
    return r;
}

static int serve_once(const struct arguments *arguments)
{
    int r = sb_server_handle_request(server);
    if (r != 0 || stopped)
        return r < 0 ? r : 0;
    fprintf(stderr, "switchboard: no request came within %g s\n", arguments->config.timeout_ms / 1000.0);
    return -ETIMEDOUT;
}

static int run(struct arguments *arguments, const struct identity *identity)
{
    int r = become(identity);
    if (r < 0)
        return r;
    catch_signals();
    r = announce();
    if (r == 0)
        r = arguments->once ? serve_once(arguments) : sb_server_serve_forever(server);
    release_signals();
    return r;
}

int serve_main(int argc, char **argv)
{
    static const struct sb_config defaults = SB_CONFIG_DEFAULTS;
    static const struct argp argp = {
        option_table, parse, "HANDLER [ADDRESS]...",
        "Serve a handler.\vADDRESS is tcp://HOST:PORT, udp://HOST:PORT, unix:PATH or unixgram:PATH; without one, "
        DEFAULT_ADDRESS ". See switchboard-serve(1).", NULL, NULL, NULL,
    };
    struct arguments arguments = { .config = defaults };
    const struct sb_handler *handlers[ITEMS_MAX];
    struct identity identity;
    arguments.config.strategy = "thread";
    arguments.config.idle_timeout_ms = DEFAULT_IDLE_TIMEOUT_MS;
    arguments.config.drain_timeout_ms = UNSET;
    argp_err_exit_status = 2;
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);

    if (arguments.config.idle_timeout_ms == 0)
        arguments.config.idle_timeout_ms = -1;
    /* The one request of --once is what close waits for. */
    if (arguments.config.drain_timeout_ms == UNSET)
        arguments.config.drain_timeout_ms = arguments.once ? -1 : defaults.drain_timeout_ms;
    char *names = strdup(arguments.handler);
    int r = names ? load_handlers(names, handlers) : -ENOMEM;
    if (r == 0)
        r = find_identity(&arguments, &identity);
    if (r == 0)
        r = create(&arguments, handlers);
    if (r == 0)
        r = run(&arguments, &identity);
    sb_server_destroy(server);
    free(names);
    return r < 0 ? 1 : 0;
}
