/* switchboard serve: a handler at an address with a strategy. What it promises: switchboard-serve(1). */
#include "../commands.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <switchboard/switchboard.h>
#include <unistd.h>

#include "../plugins.h"
#include "../program.h"
#include "../signals.h"
#include "identity.h"
#include "options.h"

/* --- handlers ----------------------------------------------------------------------------------------------------- */

/* "auth+upper" to a NULL-terminated list. A name that is none is -EINVAL, as a strategy's; a file may be missing. */
static int load_handlers(char *names, const struct sb_handler **handlers)
{
    int count = 0;
    for (char *name; (name = strsep(&names, "+")) != NULL; count++) {
        char *why = NULL;
        if (count == SERVE_ITEMS_MAX - 1) {
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

static int create(const struct serve_arguments *arguments, const struct sb_handler *const *handlers)
{
    struct sb_config config = arguments->config;
    config.ready = announce;
    int r = sb_server_create(NULL, arguments->addresses[0], handlers, &config, &server);
    for (int i = 1; r == 0 && arguments->addresses[i]; i++)
        r = sb_server_listen(server, arguments->addresses[i]);
    return r;
}

static int serve_once(const struct serve_arguments *arguments)
{
    int r = sb_server_handle_request(server);
    answered = r == 1;
    if (r != 0 || stopped)
        return r < 0 ? r : 0;
    fprintf(stderr, "switchboard: no request came within %g s\n", arguments->config.timeout_ms / 1000.0);
    return -ETIMEDOUT;
}

static int run(const struct serve_arguments *arguments, const struct identity *identity)
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
    struct serve_arguments arguments;
    const struct sb_handler *handlers[SERVE_ITEMS_MAX];
    struct identity identity;
    serve_arguments_parse(argc, argv, &arguments);
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
