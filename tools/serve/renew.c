#include "renew.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../text.h"

static char path[PATH_MAX];

/* --- the file ----------------------------------------------------------------------------------------------------- */

static void look(void)
{
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    path[length > 0 ? length : 0] = '\0';
}

void renew_begin(void)
{
    if (!getenv(SB_RENEWAL_VARIABLE))
        look();
}

const char *renew_path(void)
{
    if (path[0] == '\0')
        look();
    return path;
}

/* --- what it was started with ------------------------------------------------------------------------------------- */

/* /proc/self/cmdline, whose words the program's own parsing has not moved. */
static char *read_command_line(size_t *ret_size)
{
    char piece[4096], *text = NULL;
    size_t size = 0, n;
    FILE *file = fopen("/proc/self/cmdline", "re"), *memory = file ? open_memstream(&text, &size) : NULL;
    while (memory && (n = fread(piece, 1, sizeof piece, file)) > 0)
        fwrite(piece, 1, n, memory);
    bool whole = memory && !ferror(file) && !ferror(memory);
    if (file)
        fclose(file);
    if (memory && fclose(memory) != 0)
        whole = false;
    if (!whole || size == 0) {
        free(text);
        return NULL;
    }
    *ret_size = size;
    return text;
}

/* A list of the words with the words behind it. */
static char **list_words(const char *text, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < size; i++)
        n += text[i] == '\0';
    char **words = malloc((n + 1) * sizeof *words + size);
    if (!words)
        return NULL;
    char *word = memcpy(words + n + 1, text, size);
    for (size_t i = 0; i < n; i++, word += strlen(word) + 1)
        words[i] = word;
    words[n] = NULL;
    return words;
}

char **renew_arguments(void)
{
    size_t size;
    char *text = read_command_line(&size);
    char **words = text ? list_words(text, size) : NULL;
    free(text);
    return words;
}

/* --- the note ----------------------------------------------------------------------------------------------------- */

/* A line of it: "KEY VALUE", where a backslash and a newline are written as text.h reads them. */
static void write_line(FILE *file, const char *key, const char *value)
{
    fprintf(file, "%s ", key);
    for (; *value; value++)
        if (*value == '\n' || *value == '\\')
            fprintf(file, "\\%c", *value == '\n' ? 'n' : '\\');
        else
            fputc(*value, file);
    fputc('\n', file);
}

char *renew_write(const struct wish *wish, const struct renewal *renewal)
{
    char *note;
    size_t size;
    FILE *file = open_memstream(&note, &size);
    if (!file)
        return NULL;
    fprintf(file, "control-fd %d\ncaller-fd %d\naccept %s\n", renewal->control_fd, renewal->caller_fd,
            sb_discipline_name(wish->accept));
    write_line(file, "program", path);
    write_line(file, "control", renewal->control_path);
    write_line(file, "strategy", wish->strategy);
    write_line(file, "handler", wish->handler);
    for (char *const *option = wish->options; *option; option++)
        write_line(file, "option", *option);
    bool failed = ferror(file);
    if (fclose(file) != 0 || failed) {
        free(note);
        return NULL;
    }
    return note;
}

static int take(char *line, struct wish *wish, unsigned *n_options, struct renewal *renewal)
{
    char *value = strchr(line, ' '), *text;
    size_t size;
    if (!value)
        return -EPROTO;
    *value++ = '\0';
    int r = text_unescape(value, &text, &size);
    if (r < 0)
        return r == -ENOMEM ? r : -EPROTO;
    char *copy = strndup(text, size);
    free(text);
    if (!copy)
        return -ENOMEM;
    if (strcmp(line, "strategy") == 0 && !wish->strategy)
        wish->strategy = copy;
    else if (strcmp(line, "handler") == 0 && !wish->handler)
        wish->handler = copy;
    else if (strcmp(line, "option") == 0 && *n_options < SERVE_ITEMS_MAX)
        wish->options[(*n_options)++] = copy;
    else {
        if (strcmp(line, "accept") == 0)
            wish->accept = sb_discipline_parse(copy);
        else if (strcmp(line, "control-fd") == 0)
            renewal->control_fd = atoi(copy);
        else if (strcmp(line, "caller-fd") == 0)
            renewal->caller_fd = atoi(copy);
        else if (strcmp(line, "program") == 0)
            snprintf(path, sizeof path, "%s", copy);
        else if (strcmp(line, "control") == 0)
            snprintf(renewal->control_path, sizeof renewal->control_path, "%s", copy);
        free(copy);
    }
    return 0;
}

/* What a later version may have more to say of is passed over. */
int renew_read(const char *note, struct wish **ret_wish, struct renewal *ret_renewal)
{
    struct renewal renewal = { .control_fd = -1, .caller_fd = -1 };
    struct wish *wish = calloc(1, sizeof *wish);
    unsigned n_options = 0;
    char *copy = strdup(note), *rest = copy, *line;
    int r = wish && copy ? 0 : -ENOMEM;
    while (r == 0 && (line = strsep(&rest, "\n")) != NULL)
        if (line[0] != '\0')
            r = take(line, wish, &n_options, &renewal);
    free(copy);
    if (r == 0 && (!wish->strategy || !wish->handler || renewal.control_fd < 0))
        r = -EPROTO;
    if (r < 0) {
        wish_free(wish);
        return r;
    }
    *ret_wish = wish;
    *ret_renewal = renewal;
    return 0;
}
