#include "commands.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <switchboard/switchboard.h>

#include "plugins.h"

struct word {
    unsigned bit;
    const char *text;
};

static const struct word handler_traits[] = {
    { SB_NOT_THREAD_SAFE, "not thread-safe" }, { SB_KEEPS_STATE, "keeps state" }, { SB_BLOCKS, "blocks" },
    { SB_STREAM_ONLY, "stream only" }, { SB_DATAGRAM_ONLY, "datagram only" },
    { SB_LOCAL_ONLY, "local only" }, { SB_SENDS_LINES, "sends lines" }, { SB_AUTHENTICATES, "authenticates" },
    { 0, NULL },
};

static const struct word class_traits[] = {
    { SB_CONCURRENT, "concurrent" }, { SB_FORKS, "forks" }, { SB_YIELDS, "yields" }, { SB_LOOPS, "workers accept" },
    { 0, NULL },
};

static void print_traits(const struct word *words, unsigned traits)
{
    const char *separator = "  [";
    for (; words->text; words++)
        if (traits & words->bit) {
            printf("%s%s", separator, words->text);
            separator = ", ";
        }
    printf("%s\n", separator[0] == ',' ? "]" : "");
}

static void list_strategies(void)
{
    for (const struct sb_class *const *class_ = sb_strategies; *class_; class_++) {
        printf("%-10s %s", (*class_)->name, (*class_)->summary);
        print_traits(class_traits, (*class_)->traits);
    }
}

static const char *type_name(const struct sb_option *option)
{
    switch (option->type) {
    case SB_OPTION_LONG:
        return "NUMBER";
    case SB_OPTION_BOOL:
        return "yes|no";
    case SB_OPTION_FRAME:
        return "NAME";
    default:
        return "TEXT";
    }
}

static void print_handler(const struct sb_handler *handler)
{
    printf("%-10s %s", handler->name, handler->summary ? handler->summary : "");
    print_traits(handler_traits, handler->traits);
    for (const struct sb_option *option = handler->options; option && option->name; option++)
        printf("             -o %s=%s  %s%s%s%s\n", option->name, type_name(option), option->help,
               option->value ? " (default " : "", option->value ? option->value : "", option->value ? ")" : "");
}

static int is_plugin(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return length > 3 && strcmp(entry->d_name + length - 3, ".so") == 0;
}

static int list_file(const char *file)
{
    char *why;
    const struct sb_handler *handler;
    if (sb_plugin_load_handler(file, NULL, &handler, &why) == 0) {
        print_handler(handler);
        return 0;
    }
    fprintf(stderr, "switchboard list: cannot load %s: %s\n", file, why ? why : "out of memory");
    free(why);
    return 1;
}

/* A folder of the path need not exist. */
static int list_folder(const char *folder)
{
    struct dirent **entries;
    int failed = 0, count = scandir(folder, &entries, is_plugin, alphasort);
    if (count < 0 && errno != ENOENT && errno != ENOTDIR) {
        fprintf(stderr, "switchboard list: cannot read the folder %s: %s\n", folder, strerror(errno));
        return 1;
    }
    for (int i = 0; i < count; i++) {
        char file[4096];
        snprintf(file, sizeof file, "%s/%s", folder, entries[i]->d_name);
        failed |= list_file(file);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    return failed;
}

static int list_handlers(void)
{
    int failed = 0;
    for (const char *const *folder = handler_path(); *folder; folder++)
        failed |= list_folder(*folder);
    return failed;
}

int list_main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (argc == 2 && strcmp(what, "--help") == 0) {
        printf("Usage: switchboard list [handlers|strategies|./FILE.so]\n");
        return 0;
    }
    if (argc == 2 && strcmp(what, "strategies") == 0) {
        list_strategies();
        return 0;
    }
    if (argc == 2 && strcmp(what, "handlers") == 0)
        return list_handlers();
    if (argc == 2 && strchr(what, '/'))
        return list_file(what);
    if (argc != 1) {
        fprintf(stderr, "switchboard list: give 'handlers', 'strategies', a plugin as ./FILE.so, or nothing, not "
                "'%s'\n", argv[argc - 1]);
        return 2;
    }
    printf("Handlers:\n");
    int failed = list_handlers();
    printf("\nStrategies, which compose with plus signs (prefork:4+thread):\n");
    list_strategies();
    return failed;
}
