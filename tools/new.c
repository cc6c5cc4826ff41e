/* switchboard new: the source and the build file of a handler, in a folder of its own. */
#include "commands.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <switchboard/switchboard.h>

enum { NAME_LENGTH = 40 };

/* In both templates @ stands for the handler's name. */
static const char source_template[] =
    "/* @: a handler for switchboard. What it can do is in switchboard-handler(7). */\n"
    "#include <switchboard/switchboard.h>\n"
    "\n"
    "/* What `-o KEY=VALUE` sets: checked before the server starts, read-only, the same for every request. */\n"
    "struct options {\n"
    "    const char *greeting;\n"
    "    long limit;\n"
    "};\n"
    "\n"
    "static const struct sb_option option_table[] = {\n"
    "    { .name = \"greeting\", .type = SB_OPTION_STRING, .offset = offsetof(struct options, greeting),\n"
    "      .value = \"hello\", .help = \"the first word to each caller\" },\n"
    "    { .name = \"limit\", .type = SB_OPTION_LONG, .offset = offsetof(struct options, limit),\n"
    "      .value = \"100\", .min = 1, .max = 1000000, .help = \"messages, then it hangs up\" },\n"
    "    { .name = NULL },\n"
    "};\n"
    "\n"
    "/* What one request remembers: zeroed before setup, gone after finish. */\n"
    "struct instance {\n"
    "    long messages;\n"
    "};\n"
    "\n"
    "/* Three methods, in this order. Each returns 0, or -errno; without setup or finish, leave them out. */\n"
    "static int setup(struct sb_request *request)\n"
    "{\n"
    "    const struct options *options = sb_options(request, &sb_handler);\n"
    "    return sb_printf(request, \"%s, %s\\n\", options->greeting, sb_client_name(request));\n"
    "}\n"
    "\n"
    "/* Plain code that waits where it has to: threads and processes run it as it is. */\n"
    "static int handle(struct sb_request *request)\n"
    "{\n"
    "    const struct options *options = sb_options(request, &sb_handler);\n"
    "    struct instance *instance = sb_instance(request, &sb_handler);\n"
    "    char text[1024];\n"
    "    while (instance->messages < options->limit) {\n"
    "        ssize_t n = sb_recv(request, text, sizeof text);\n"
    "        if (n <= 0)\n"
    "            return n;\n"
    "        int r = sb_printf(request, \"%ld: %.*s\", ++instance->messages, (int)n, text);\n"
    "        if (r < 0)\n"
    "            return r;\n"
    "    }\n"
    "    return 0;\n"
    "}\n"
    "\n"
    "static int finish(struct sb_request *request)\n"
    "{\n"
    "    const struct instance *instance = sb_instance(request, &sb_handler);\n"
    "    sb_log(request, \"%ld messages\", instance->messages);\n"
    "    return 0;\n"
    "}\n"
    "\n"
    "/* .traits says what it cannot bear, SB_NOT_THREAD_SAFE for one; this one bears everything. */\n"
    "SB_HANDLER(.name = \"@\", .summary = \"greets, and numbers the messages it hears\",\n"
    "           .instance_size = sizeof(struct instance),\n"
    "           .options_size = sizeof(struct options), .options = option_table,\n"
    "           .setup = setup, .handle = handle, .finish = finish);\n";

static const char build_template[] =
    "project('@', 'c', default_options: ['c_std=gnu11', 'warning_level=2', 'buildtype=debugoptimized'])\n"
    "\n"
    "shared_module('@', '@.c',\n"
    "  name_prefix: '',\n"
    "  dependencies: dependency('switchboard'),\n"
    "  gnu_symbol_visibility: 'hidden')\n";

/* Meson keeps these names for its own targets. */
static const char *const meson_names[] = { "all", "benchmark", "clean", "coverage", "dist", "distcheck", "install",
                                           "phony", "reconfigure", "test", "uninstall", NULL };

static const char *what_is_wrong(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    if (name[0] == '\0' || strchr(letters, name[0]) == NULL)
        return "a handler's name starts with a small letter";
    if (name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")] != '\0')
        return "a handler's name has only small letters, digits and underscores";
    if (strlen(name) > NAME_LENGTH)
        return "a handler's name has at most 40 characters";
    for (const char *const *taken = meson_names; *taken != NULL; taken++)
        if (strcmp(name, *taken) == 0)
            return "Meson keeps this name for itself; choose another";
    return NULL;
}

static int write_template(const char *path, const char *template, const char *name)
{
    FILE *file = fopen(path, "wxe");
    if (file == NULL)
        return -errno;
    for (const char *c = template; *c != '\0'; c++)
        if (*c == '@')
            fputs(name, file);
        else
            putc(*c, file);
    bool failed = ferror(file) != 0;
    if (fclose(file) < 0 || failed)
        return errno != 0 ? -errno : -EIO;
    return 0;
}

/* Makes the folder with both files, or nothing. */
static int make_folder(const char *name)
{
    char source[2 * NAME_LENGTH + 8], build[NAME_LENGTH + 16];
    snprintf(source, sizeof source, "%s/%s.c", name, name);
    snprintf(build, sizeof build, "%s/meson.build", name);
    if (mkdir(name, 0777) < 0)
        return -errno;
    int r = write_template(source, source_template, name);
    if (r == 0)
        r = write_template(build, build_template, name);
    if (r < 0) {
        unlink(source);
        unlink(build);
        rmdir(name);
    }
    return r;
}

/* The folder in which pkg-config finds the library that runs here, or "" where pkg-config knows it by itself.
 * In a build tree that is meson-uninstalled, beside or above the library's own folder. */
static void find_pkg_config_path(char *path)
{
    static const char *const places[] = { "../meson-uninstalled", "meson-uninstalled", "pkgconfig", NULL };
    Dl_info library;
    char *slash, file[PATH_MAX];
    path[0] = '\0';
    if (dladdr((void *)sb_server_create, &library) == 0 || realpath(library.dli_fname, file) == NULL)
        return;
    if (strncmp(file, "/usr/", 5) == 0 || (slash = strrchr(file, '/')) == NULL)
        return;
    *slash = '\0';
    for (const char *const *place = places; *place != NULL && path[0] == '\0'; place++) {
        char candidate[2 * PATH_MAX];
        snprintf(candidate, sizeof candidate, "%s/%s", file, *place);
        if (realpath(candidate, path) == NULL)
            path[0] = '\0';
    }
}

static void print_next_steps(const char *name)
{
    char path[PATH_MAX], program[PATH_MAX];
    find_pkg_config_path(path);
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    program[n > 0 ? n : 0] = '\0';
    const char *quote = strpbrk(path, " '\"$&;()") != NULL ? "\"" : "";
    printf("made %s/%s.c and %s/meson.build. To build and serve it:\n", name, name, name);
    printf("  cd %s\n  ", name);
    if (path[0] != '\0')
        printf("PKG_CONFIG_PATH=%s%s%s ", quote, path, quote);
    printf("meson setup build\n");
    printf("  meson compile -C build\n");
    const char *command = path[0] != '\0' && n > 0 ? program : "switchboard";
    printf("  %s%s%s serve ./build/%s.so\n", quote, command, quote, name);
    printf("and from a second terminal:\n  %s%s%s client\n", quote, command, quote);
}

static void print_mkdir_error(const char *name, int error)
{
    if (error == EEXIST)
        fprintf(stderr, "switchboard new: '%s' already exists here; choose another name or another folder\n", name);
    else
        fprintf(stderr, "switchboard new: cannot make the folder '%s' in this one: %s; nothing was left behind\n", name,
                strerror(error));
}

int new_main(int argc, char **argv)
{
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        printf("Usage: switchboard new NAME\nMakes the folder NAME with a handler's source and its meson.build.\n");
        return 0;
    }
    if (argc != 2) {
        fprintf(stderr, "switchboard new: it takes one name, as in: switchboard new hello\n");
        return 2;
    }
    const char *wrong = what_is_wrong(argv[1]);
    if (wrong != NULL) {
        fprintf(stderr, "switchboard new: '%s' will not do: %s\n", argv[1], wrong);
        return 2;
    }
    int r = make_folder(argv[1]);
    if (r < 0) {
        print_mkdir_error(argv[1], -r);
        return 1;
    }
    print_next_steps(argv[1]);
    return 0;
}
