#include "options.h"

#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../arguments.h"

#define DEFAULT_IDLE_TIMEOUT_MS 300000
#define UNSET (-2)
#define NAME_LENGTH_MAX 63

enum {
    ONCE = 256, TIMEOUT, BACKLOG, MAX_CONNECTIONS, QUEUE, MAX_CHILDREN, MAX_REQUESTS, MAX_PACKET, IDLE_TIMEOUT,
    DRAIN_TIMEOUT, RETIRE_TIMEOUT, STACK_SIZE, SPIN, TRACE, REUSE_PORT, NODELAY, USER, GROUP, NAME, RESTART,
    UNSUPERVISED, INETD, SOCKET_MODE, SOCKET_GROUP,
};

static const struct argp_option option_table[] = {
    { "strategy", 's', "LIST", 0, "serial, thread, fork, fiber, pool:N, prefork:N, prethread:N, your own ./FILE.so, or "
      "several with plus signs: prefork:4+pool:16 (default thread)", 1 },
    { "accept", 'a', "DISCIPLINE", 0, "how workers share a listener: shared, mutex, flock, pass or reuseport "
      "(default shared)", 1 },
    { "option", 'o', "KEY=VALUE", 0, "an option of the handler; HANDLER.KEY=VALUE where two have it", 1 },
    { "once", ONCE, NULL, 0, "serve one request, then exit", 2 },
    { "inetd", INETD, NULL, 0, "serve the one connection that is descriptor 0, as inetd and its like give it", 2 },
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
    { "retire-timeout", RETIRE_TIMEOUT, "SECONDS", 0, "how long they may go on after a change (default: no limit)", 3 },
    { "stack-size", STACK_SIZE, "BYTES", 0, "of fiber: the stack of each (default 65536)", 3 },
    { "spin", SPIN, "MICROSECONDS", 0, "of fiber: look for work so long before sleeping (default 0)", 3 },
    { "trace", TRACE, "N", 0, "keep the last N changes of state beside the scoreboard (default 0)", 3 },
    { "reuse-port", REUSE_PORT, NULL, 0, "let other servers share the port (SO_REUSEPORT)", 4 },
    { "nodelay", NODELAY, NULL, 0, "send small pieces at once (TCP_NODELAY)", 4 },
    { "socket-mode", SOCKET_MODE, "MODE", 0, "permissions of a Unix socket's file, as for chmod: 660 (default: what the "
      "umask leaves, or with --socket-group 660)", 4 },
    { "socket-group", SOCKET_GROUP, "NAME", 0, "the group of a Unix socket's file", 4 },
    { "user", USER, "NAME", 0, "become this user once the addresses are bound", 4 },
    { "group", GROUP, "NAME", 0, "become this group once the addresses are bound", 4 },
    { "name", NAME, "NAME", 0, "what 'switch', 'reload' and 'stop' may call this server", 4 },
    { "restart", RESTART, NULL, 0, "start another server process when one dies", 4 },
    { "unsupervised", UNSUPERVISED, NULL, 0, "serve in this process; it cannot be changed while it runs", 4 },
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

static int parse_mode(struct argp_state *state, const char *text)
{
    char *end;
    long mode = strtol(text, &end, 8);
    if (*end || end == text || mode < 0 || mode > 0777)
        argp_failure(state, 2, 0, "--socket-mode=%s: it must be octal digits from 0 to 777, as for chmod", text);
    return (int)mode;
}

static int parse_group(struct argp_state *state, const char *text)
{
    const struct group *group = getgrnam(text);
    long long gid;
    if (!group && argument_is_whole(text, 0, INT_MAX, &gid))
        return (int)gid;
    if (!group)
        argp_failure(state, 1, 0, "--socket-group=%s: there is no such group", text);
    return group ? (int)group->gr_gid : -1;
}

#define OWN(member) offsetof(struct serve_arguments, member)

static const struct argument argument_table[] = {
    { 's', ARGUMENT_TEXT, OWN(config.strategy), 0, 0 },
    { 'o', ARGUMENT_LIST, OWN(options), 0, SERVE_ITEMS_MAX },
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
    { RETIRE_TIMEOUT, ARGUMENT_MS, OWN(retire_timeout_ms), 0, ARGUMENT_SECONDS_MAX },
    { STACK_SIZE, ARGUMENT_NUMBER, OWN(config.stack_size), 16384, 1 << 30 },
    { SPIN, ARGUMENT_NUMBER, OWN(config.spin_us), 0, 1000000 },
    { TRACE, ARGUMENT_NUMBER, OWN(config.trace), 0, 1000000 },
    { REUSE_PORT, ARGUMENT_FLAG, OWN(config.allow_reuse_port), 0, 0 },
    { NODELAY, ARGUMENT_FLAG, OWN(config.disable_nagle_algorithm), 0, 0 },
    { USER, ARGUMENT_TEXT, OWN(user), 0, 0 },
    { GROUP, ARGUMENT_TEXT, OWN(group), 0, 0 },
    { NAME, ARGUMENT_TEXT, OWN(name), 0, 0 },
    { RESTART, ARGUMENT_FLAG, OWN(restart), 0, 0 },
    { INETD, ARGUMENT_FLAG, OWN(inetd), 0, 0 },
    { UNSUPERVISED, ARGUMENT_FLAG, OWN(unsupervised), 0, 0 },
    { 'f', ARGUMENT_FLAG, OWN(config.force), 0, 0 },
    { 0 },
};

static void take_word(struct argp_state *state, struct serve_arguments *arguments, const char *word)
{
    if (!arguments->handler)
        arguments->handler = word;
    else
        argument_add(state, "ADDRESS", arguments->addresses, SERVE_ITEMS_MAX, word);
}

static void check_name(struct argp_state *state, const char *name)
{
    if (name && (name[0] == '\0' || strlen(name) > NAME_LENGTH_MAX || strspn(name, "0123456789") == strlen(name)))
        argp_failure(state, 2, 0, "--name=%s: it must have from 1 to %d characters, and not be a number, which would "
                     "be a pid", name, NAME_LENGTH_MAX);
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct serve_arguments *arguments = state->input;
    switch (key) {
    case 'a':
        arguments->config.accept = parse_accept(state, text);
        return 0;
    case SOCKET_MODE:
        arguments->config.socket_mode = parse_mode(state, text);
        return 0;
    case SOCKET_GROUP:
        arguments->config.socket_group = parse_group(state, text);
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
        check_name(state, arguments->name);
        if (arguments->inetd && (arguments->addresses[0] || arguments->once))
            argp_failure(state, 2, 0, "--inetd: there is one connection already; leave the addresses, and --once");
        if ((arguments->once || arguments->unsupervised || arguments->inetd) && (arguments->name || arguments->restart))
            argp_failure(state, 2, 0, "--name and --restart are the supervisor's: leave them, or --once, "
                         "--unsupervised and --inetd");
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
    .doc = "Serve a handler.\vADDRESS is tcp://HOST:PORT, udp://HOST:PORT, unix:PATH, unixgram:PATH or fd://N; without "
           "one, " ARGUMENT_DEFAULT_ADDRESS ". See switchboard-serve(1).",
};

/* Of what was not said it takes the values that depend on what was. */
void serve_arguments_parse(int argc, char **argv, struct serve_arguments *arguments)
{
    static const struct sb_config defaults = SB_CONFIG_DEFAULTS;
    struct sb_config *config = &arguments->config;
    *arguments = (struct serve_arguments){ .config = defaults, .retire_timeout_ms = -1 };
    config->strategy = "thread";
    config->idle_timeout_ms = DEFAULT_IDLE_TIMEOUT_MS;
    config->drain_timeout_ms = UNSET;
    argument_parse(&argp, argc, argv, arguments);
    config->options = arguments->options;
    if (config->idle_timeout_ms == 0)
        config->idle_timeout_ms = -1;
    /* The one request of --once is what close waits for. */
    if (config->drain_timeout_ms == UNSET)
        config->drain_timeout_ms = arguments->once || arguments->inetd ? -1 : defaults.drain_timeout_ms;
    if (!arguments->addresses[0])
        arguments->addresses[0] = ARGUMENT_DEFAULT_ADDRESS;
}
