#include "catalogue.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <switchboard/switchboard.h>

#include "../plugins.h"
#include "../text_json.h"

static json_t *text_or_null(const char *text)
{
    return text ? text_json(text) : json_null();
}

static json_t *options_json(const struct sb_handler *handler)
{
    json_t *list = json_array();
    for (const struct sb_option *option = handler->options; option && option->name; option++)
        json_array_append_new(list, json_pack("{s:o, s:o, s:o}", "name", text_json(option->name), "help",
                                              text_or_null(option->help), "value", text_or_null(option->value)));
    return list;
}

static void add_file(json_t *list, const char *file)
{
    const struct sb_handler *handler;
    char *why = NULL;
    if (sb_plugin_load_handler(file, NULL, &handler, &why) < 0) {
        free(why);
        return;
    }
    json_array_append_new(list, json_pack("{s:o, s:o, s:o}", "name", text_json(handler->name), "summary",
                                          text_json(handler->summary ? handler->summary : ""), "options",
                                          options_json(handler)));
}

static int is_plugin(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return length > 3 && strcmp(entry->d_name + length - 3, ".so") == 0;
}

json_t *catalogue_handlers(void)
{
    json_t *list = json_array();
    for (const char *const *folder = handler_path(); *folder; folder++) {
        struct dirent **entries;
        int count = scandir(*folder, &entries, is_plugin, alphasort);
        for (int i = 0; i < count; i++) {
            char file[4096];
            snprintf(file, sizeof file, "%s/%s", *folder, entries[i]->d_name);
            add_file(list, file);
            free(entries[i]);
        }
        if (count >= 0)
            free(entries);
    }
    return list;
}

/* Those that have a number are the ones with workers of their own. */
static bool is_numbered(const struct sb_class *strategy)
{
    return strcmp(strategy->name, "pool") == 0 || (strategy->traits & SB_LOOPS);
}

json_t *catalogue_strategies(void)
{
    json_t *list = json_array();
    for (const struct sb_class *const *strategy = sb_strategies; *strategy; strategy++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:b}", "name", (*strategy)->name, "summary",
                                              (*strategy)->summary, "numbered", is_numbered(*strategy)));
    return list;
}

json_t *catalogue_names(const char *const *names, unsigned count)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < count; i++)
        json_array_append_new(list, json_string(names[i]));
    return list;
}
