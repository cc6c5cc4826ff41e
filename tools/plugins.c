#include "plugins.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"

#define FOLDERS_MAX 64

static const char *folders[FOLDERS_MAX + 1];
static int n_folders;

static void add(const char *folder)
{
    if (folder[0] != '\0' && n_folders < FOLDERS_MAX)
        folders[n_folders++] = folder;
}

static void add_environment(void)
{
    const char *value = getenv("SWITCHBOARD_PATH");
    char *rest = value ? strdup(value) : NULL, *folder;
    if (value && !rest)
        fprintf(stderr, "switchboard: SWITCHBOARD_PATH is passed over: %s\n", strerror(errno));
    while ((folder = strsep(&rest, ":")) != NULL)
        add(folder);
}

/* BUILD/tools/switchboard, or -lab, has its handlers in BUILD/handlers. */
static void add_build_tree(void)
{
    static char folder[PATH_MAX + 16];
    ssize_t length = readlink("/proc/self/exe", folder, PATH_MAX);
    if (length < 0)
        return;
    folder[length] = '\0';
    char *tail = strstr(folder, "/tools/switchboard");
    if (!tail || strchr(tail + strlen("/tools/"), '/'))
        return;
    strcpy(tail, "/handlers");
    add(folder);
}

const char *const *handler_path(void)
{
    if (n_folders == 0) {
        add_environment();
        add_build_tree();
        add(HANDLER_DIR);
    }
    return folders;
}
