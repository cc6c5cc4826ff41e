/* switchboard reload: the same handler, its plugin read anew, while it serves. */
#include "commands.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"

int reload_main(int argc, char **argv)
{
    const char *server = NULL;
    bool program = false, waits = true, misused = false;
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        printf("Usage: switchboard reload [--program] [--no-wait] PID|NAME\nReads the plugins of a running server anew, "
               "and with --program its own file too; no caller is\nrefused or cut off by it. --no-wait: does not wait "
               "until the old generation has ended.\n");
        return 0;
    }
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--program") == 0)
            program = true;
        else if (strcmp(argv[i], "--no-wait") == 0)
            waits = false;
        else if (server || argv[i][0] == '-')
            misused = true;
        else
            server = argv[i];
    }
    if (server && !misused)
        return ask_server(server, (const char *const[]){ "reload", program ? "program" : NULL, NULL }, waits);
    fprintf(stderr, "%s: it takes one server: its pid, or the name that 'serve --name' gave it\n", argv[0]);
    return 2;
}
