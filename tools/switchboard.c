#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "config.h"
#include "program.h"

#define NAMES "serve, switch, reload, stop, status, top, client, load, compare, lab, list or new"

/* Programs of their own, beside this one: "switchboard client" is switchboard-client. */
static int start_program(int argc, char **argv)
{
    (void)argc;
    const char *name = strchr(argv[0], ' ') + 1;
    char path[PATH_MAX + 16];
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX);
    if (length > 0) {
        snprintf(path + length, sizeof path - (size_t)length, "-%s", name);
        execv(path, argv);
    }
    fprintf(stderr, "%s: cannot start switchboard-%s, which belongs beside switchboard: %s\n", argv[0], name,
            strerror(errno));
    return 1;
}

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *full_name, *summary;
} commands[] = {
    { "serve", serve_main, "switchboard serve", "serve a handler at an address with a strategy" },
    { "switch", switch_main, "switchboard switch", "change a running server: its strategy, handler, ..." },
    { "reload", reload_main, "switchboard reload", "read a running server's plugins anew" },
    { "stop", stop_main, "switchboard stop", "stop a running server" },
    { "status", start_program, "switchboard status", "what the workers of a running server do" },
    { "top", start_program, "switchboard top", "watch a running server on the terminal, and change it" },
    { "client", start_program, "switchboard client", "talk to a server" },
    { "load", start_program, "switchboard load", "ask a server as often as it answers, and measure it" },
    { "compare", start_program, "switchboard compare", "run strategies under the same load, side by side" },
    { "lab", start_program, "switchboard lab", "watch a server on a page, change it, and teach with it" },
    { "list", list_main, "switchboard list", "the handlers and strategies there are" },
    { "new", new_main, "switchboard new", "start a handler of your own in a new folder" },
};

static void print_usage(FILE *stream)
{
    fprintf(stream, "Usage: switchboard COMMAND [OPTION]... [ARGUMENT]...\n\n");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        fprintf(stream, "  %-8s %s\n", commands[i].name, commands[i].summary);
    fprintf(stream, "\n'switchboard COMMAND --help' shows a command's options.\n");
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

int main(int argc, char **argv)
{
    program_begin("switchboard");
    if (argc < 2) {
        fprintf(stderr, "switchboard: the command is missing: " NAMES "\n");
        return 2;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        printf("switchboard %s\n", VERSION);
        return 0;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        print_usage(stdout);
        return 0;
    }
    const struct command *command = find_command(argv[1]);
    if (!command) {
        fprintf(stderr, "switchboard: there is no command '%s': use " NAMES "\n", argv[1]);
        return 2;
    }
    program_rename(command->full_name);
    argv[1] = (char *)command->full_name;
    return command->run(argc - 1, argv + 1);
}
