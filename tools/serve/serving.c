#include "serving.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../plugins.h"
#include "../program.h"
#include "../signals.h"
#include "identity.h"

/* --- handlers ----------------------------------------------------------------------------------------------------- */

/* On stderr, and to who has asked for the change. */
__attribute__((format(printf, 2, 3))) static void complain(struct sb_generation *generation, const char *format, ...)
{
    char why[1024];
    va_list values;
    va_start(values, format);
    vsnprintf(why, sizeof why, format, values);
    va_end(values);
    fprintf(stderr, "switchboard: %s\n", why);
    if (generation)
        sb_generation_refuse(generation, why);
}

static int load_handler(const char *name, struct sb_generation *generation, const struct sb_handler **ret_handler)
{
    char *why = NULL;
    int r = sb_plugin_load_handler(name, handler_path(), ret_handler, &why);
    if (r < 0)
        complain(generation, "cannot load the handler %s: %s", name, why ? why : strerror(-r));
    free(why);
    return r == -ENOENT && !strchr(name, '/') ? -EINVAL : r;
}

/* "auth+upper" to a NULL-terminated list. A name that is none is -EINVAL, as a strategy's; a file may be missing. */
static int load_handlers(char *names, struct sb_generation *generation, const struct sb_handler **handlers)
{
    int count = 0;
    for (char *name; (name = strsep(&names, "+")) != NULL; count++) {
        if (count == SERVE_ITEMS_MAX - 1) {
            complain(generation, "too many handlers in one list");
            return -EINVAL;
        }
        int r = load_handler(name, generation, &handlers[count]);
        if (r < 0)
            return r;
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
    else if (server && signo == SIGUSR1)
        sb_server_retire(server);
    else if (server)
        sb_server_stop(server);
}

/* What a terminal sends to all when it is closed is the supervisor's to obey. */
static void catch_signals(bool is_generation)
{
    signals_end_by(SIGINT, stop);
    signals_end_by(SIGTERM, stop);
    signals_end_by(SIGQUIT, stop);
    signals_survive(SIGPIPE);
    if (is_generation) {
        signals_end_by(SIGUSR1, stop);
        signals_survive(SIGHUP);
    } else {
        signals_end_by(SIGHUP, stop);
    }
    signal(SIGCHLD, SIG_DFL);   /* ignored, the children of handlers would vanish before anybody waits for them */
}

void serving_print_ready(const char *address, const char *handler, const char *strategy)
{
    printf("listening %s handler=%s strategy=%s pid=%d\n", address, handler, strategy, (int)getpid());
}

/* When a first loop can take a call. Nobody would know of a server that cannot say so. */
static void announce(void *data)
{
    const char *address;
    (void)data;
    for (unsigned i = 0; (address = sb_server_address(server, i)) != NULL; i++)
        serving_print_ready(address, sb_server_handler_name(server), sb_server_strategy(server));
    unheard = program_flush();
    if (unheard < 0)
        sb_server_stop(server);
}

static int create(const struct serve_arguments *arguments, const struct sb_handler *const *handlers,
                  struct sb_generation *generation)
{
    struct sb_config config = arguments->config;
    config.generation = generation;
    config.ready = generation ? NULL : announce;
    if (arguments->inetd) {
        config.ready = NULL;
        return sb_server_create(NULL, NULL, handlers, &config, &server);
    }
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

/* What inetd(8) calls stdin, stdout and perhaps stderr is the caller: nothing that is printed may go there. Returns the
 * connection's new number, or -errno. */
static int take_standard_input(void)
{
    struct stat connection, other;
    int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1), null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd < 0 || null < 0 || fstat(fd, &connection) < 0)
        return -errno;
    for (int standard = STDIN_FILENO; standard <= STDERR_FILENO; standard++)
        if (fstat(standard, &other) == 0 && other.st_dev == connection.st_dev && other.st_ino == connection.st_ino)
            dup2(null, standard);
    close(null);
    return fd;
}

static int serve_connection(void)
{
    int fd = take_standard_input();
    if (fd < 0)
        fprintf(stderr, "switchboard: cannot take over standard input: %s\n", strerror(-fd));
    return fd < 0 ? fd : sb_server_handle_connection(server, fd);
}

static int run(const struct serve_arguments *arguments, const struct identity *identity)
{
    int r = identity_become(identity);
    if (r < 0)
        return r;
    if (stopped)                /* before there was a server */
        sb_server_stop(server);
    if (arguments->inetd)
        r = serve_connection();
    else if (arguments->once)
        r = serve_once(arguments);
    else
        r = sb_server_serve_forever(server);
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

int serving_run(const struct serve_arguments *arguments, struct sb_generation *generation)
{
    const struct sb_handler *handlers[SERVE_ITEMS_MAX];
    struct identity identity;
    catch_signals(generation);
    char *names = strdup(arguments->handler);
    int r = names ? load_handlers(names, generation, handlers) : -ENOMEM;
    if (!names)
        complain(generation, "out of memory");
    if (r == 0)
        r = identity_find(arguments->user, arguments->group, &identity);
    if (r == 0)
        r = create(arguments, handlers, generation);
    int status = is_misuse(r) ? 2 : r < 0;
    if (r == 0)
        status = run(arguments, &identity) < 0;
    struct sb_server *ended = server;
    server = NULL;
    sb_server_destroy(ended);
    free(names);
    return status;
}
