/* A program that changes while it serves: reloading PLUGIN.so ADDRESS STRATEGY. SIGHUP: the plugin's file anew. */
#include <signal.h>
#include <stdio.h>
#include <switchboard/switchboard.h>

static struct sb_supervisor *supervisor;
static struct sb_server *server;

static void on_signal(int signo)
{
    if (server)
        (signo == SIGTERM ? sb_server_stop : signo == SIGQUIT ? sb_server_stop_now : sb_server_retire)(server);
    else
        (signo == SIGHUP ? sb_supervisor_reload : sb_supervisor_stop)(supervisor);
}

static int serve(struct sb_generation *generation, void *wish)
{
    char **argv = wish, *why = NULL;
    const struct sb_handler *handler;
    struct sb_config config = SB_CONFIG_DEFAULTS;
    config.generation = generation;
    config.strategy = argv[3];
    config.log_level = SB_LOG_WARNING;
    if (sb_plugin_load_handler(argv[1], NULL, &handler, &why) < 0) {
        sb_generation_refuse(generation, why);
        return 1;
    }
    if (sb_server_create(NULL, argv[2], SB_HANDLERS(handler), &config, &server) < 0)
        return 1;
    int r = sb_server_serve_forever(server);
    sb_server_destroy(server);
    return r < 0;
}

static void say(void *data, const struct sb_change_report *report)
{
    static const char *const names[] = { "ready", "done", "refused", "ended", "died", "left" };
    (void)data;
    printf("%s %u %s\n", names[report->change], report->number,
           report->why ? report->why : report->change == SB_CHANGE_READY ? sb_supervisor_address(supervisor, 0) : "");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct sb_supervision supervision = SB_SUPERVISION_DEFAULTS;
    int status;
    supervision.serve = serve;
    supervision.report = say;
    if (argc != 4 || sb_supervisor_create(&supervision, &supervisor) < 0)
        return 2;
    for (int i = 0; i < 4; i++)
        signal((const int[]){ SIGTERM, SIGQUIT, SIGHUP, SIGUSR1 }[i], on_signal);
    int r = sb_supervisor_run(supervisor, argv, &status);
    sb_supervisor_destroy(supervisor);
    return r < 0 || status != 0;
}
