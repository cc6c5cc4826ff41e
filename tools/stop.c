/* switchboard stop: ends a running server in order. */
#include "commands.h"

#include <stdio.h>
#include <string.h>

#include "ask.h"

int stop_main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        printf("Usage: switchboard stop PID|NAME\nStops a running server, as SIGTERM does, and waits until it has "
               "ended.\n");
        return 0;
    }
    if (argc == 2 && argv[1][0] != '-')
        return ask_server(argv[1], (const char *const[]){ "stop", NULL }, true);
    fprintf(stderr, "%s: it takes one server: its pid, or the name that 'serve --name' gave it\n", argv[0]);
    return 2;
}
