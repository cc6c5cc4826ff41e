/* crash: fails when told to, so that its neighbours can be watched. Other lines are answered in capitals. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <switchboard/switchboard.h>
#include "lines.h"

struct options {
    const char *how;
};

static const struct sb_option option_table[] = {
    { .name = "how", .type = SB_OPTION_STRING, .offset = offsetof(struct options, how),
      .help = "segfault, abort, exit or error: fail so at once; without it, a line says when" },
    { .name = NULL },
};

/* A real fault: raise(SIGSEGV) would stay pending in a thread that blocks signals. */
static int *volatile nowhere;

/* It means to. */
__attribute__((no_sanitize("undefined"))) static int fail(const char *how)
{
    if (strcmp(how, "segfault") == 0)
        *nowhere = 1;
    if (strcmp(how, "abort") == 0)
        abort();
    if (strcmp(how, "exit") == 0)
        _exit(3);
    return strcmp(how, "error") == 0 ? -EIO : 0;
}

static int obey(struct sb_request *request, char *line)
{
    int r = fail(line);
    if (r < 0)
        return r;
    for (char *c = line; *c != '\0'; c++)
        *c = toupper((unsigned char)*c);
    return sb_printf(request, "%s\n", line);
}

static int handle(struct sb_request *request)
{
    const struct options *options = sb_options(request, &sb_handler);
    int r = options->how != NULL ? fail(options->how) : 0;
    return r < 0 ? r : for_each_line(request, obey);
}

SB_HANDLER(.name = "crash", .summary = "fails when a line says segfault, abort, exit or error",
           .traits = SB_CALLER_FIRST,
           .options_size = sizeof(struct options), .options = option_table, .handle = handle);
