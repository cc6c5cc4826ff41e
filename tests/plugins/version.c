/* A plugin of which builds answer differently: each line with its version before it. "crash" kills the process, and the
 * version "dying" dies by itself, the version "slow" does not begin as long as the file $VERSION_WAITS
 * is there. */
#include <stdlib.h>
#include <string.h>
#include <switchboard/switchboard.h>
#include <unistd.h>

static int handle(struct sb_request *request)
{
    char line[256];
    ssize_t r;
    while ((r = sb_readline(request, line, sizeof line)) > 0) {
        if (strcmp(line, "crash\n") == 0)
            abort();
        r = sb_sendall(request, VERSION, strlen(VERSION));
        if (r >= 0)
            r = sb_sendall(request, line, strlen(line));
        if (r < 0)
            return r;
    }
    return r;
}

static int configure(struct sb_server *server, void *options)
{
    (void)server;
    (void)options;
    if (strcmp(VERSION, "dying ") == 0)
        ualarm(200000, 0);
    const char *file = getenv("VERSION_WAITS");
    while (strcmp(VERSION, "slow ") == 0 && file && access(file, F_OK) == 0)
        usleep(1000);
    return 0;
}

SB_HANDLER(.name = "version", .summary = "answers with its version", .handle = handle,
           .configure = configure);
