#include <switchboard/server.h>

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

__attribute__((format(printf, 3, 4))) static int fail(char **ret_why, int error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(ret_why, format, arguments) < 0)
        *ret_why = NULL;
    va_end(arguments);
    return error;
}

/* dlopen(3) searches the system's folders for a name without a slash; a plugin is the file that was named. */
static int load(const char *file, const char *symbol, const void **ret_address, char **ret_why)
{
    if (access(file, R_OK) < 0)
        return fail(ret_why, -errno, "%s: %s", file, strerror(errno));
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return fail(ret_why, -ENOEXEC, "it is not a loadable plugin: %s", dlerror());
    void *address = dlsym(library, symbol);
    if (!address) {
        dlclose(library);
        return fail(ret_why, -ENOEXEC, "%s exports no %s: a plugin ends with %s(...)", file, symbol,
                    strcmp(symbol, SB_HANDLER_SYMBOL) == 0 ? "SB_HANDLER" : "SB_CLASS");
    }
    *ret_address = address;
    return 0;
}

static int check_abi(const char *file, uint32_t version, uint32_t size, size_t expected, char **ret_why)
{
    if (version != SB_ABI_VERSION)
        return fail(ret_why, -ENOEXEC, "%s was built for ABI version %u, and this switchboard has %d: build it again",
                    file, version, SB_ABI_VERSION);
    if (size < expected)
        return fail(ret_why, -ENOEXEC, "%s was built with older headers (%u bytes, not %zu): build it again", file,
                    size,
                    expected);
    return 0;
}

static int check_handler(const char *file, const struct sb_handler *handler, char **ret_why)
{
    int r = check_abi(file, handler->abi_version, handler->struct_size, sizeof *handler, ret_why);
    if (r < 0)
        return r;
    if (!handler->name || !handler->name[0])
        return fail(ret_why, -ENOEXEC, "the handler in %s has no name", file);
    if (!handler->setup && !handler->handle && !handler->finish)
        return fail(ret_why, -ENOEXEC, "the handler %s has neither setup, handle nor finish", handler->name);
    return 0;
}

static int load_handler(const char *file, const struct sb_handler **ret_handler, char **ret_why)
{
    const void *address = NULL;
    int r = load(file, SB_HANDLER_SYMBOL, &address, ret_why);
    if (r == 0)
        r = check_handler(file, address, ret_why);
    if (r == 0)
        *ret_handler = address;
    return r;
}

int sb_plugin_load_handler(const char *name, const char *const *path, const struct sb_handler **ret_handler,
                           char **ret_why)
{
    if (strchr(name, '/'))
        return load_handler(name, ret_handler, ret_why);
    for (; path && *path; path++) {
        char file[4096];
        snprintf(file, sizeof file, "%s/%s.so", *path, name);
        if (access(file, F_OK) == 0)
            return load_handler(file, ret_handler, ret_why);
        if (errno != ENOENT && errno != ENOTDIR)
            return fail(ret_why, -errno, "%s: %s", file, strerror(errno));
    }
    bool has_ending = strlen(name) > 3 && strcmp(name + strlen(name) - 3, ".so") == 0;
    return fail(ret_why, -ENOENT, "there is no handler '%s'; 'switchboard list handlers' names them, and a plugin of "
                "your own is named by its file, ./%s%s", name, name, has_ending ? "" : ".so");
}

int sb_plugin_load_class(const char *file, const struct sb_class **ret_class, char **ret_why)
{
    const void *address = NULL;
    int r = load(file, SB_CLASS_SYMBOL, &address, ret_why);
    if (r < 0)
        return r;
    const struct sb_plugin_class *plugin = address;
    r = check_abi(file, plugin->abi_version, plugin->struct_size, sizeof *plugin->class_, ret_why);
    if (r == 0 && (!plugin->class_ || !plugin->class_->name))
        r = fail(ret_why, -ENOEXEC, "the class in %s has no name", file);
    if (r == 0)
        *ret_class = plugin->class_;
    return r;
}
