#include "arguments.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "text.h"

/* --- words -------------------------------------------------------------------------------------------------------- */

void argument_add(struct argp_state *state, const char *what, const char **words, size_t most, const char *word)
{
    size_t n = 0;
    while (n < most && words[n])
        n++;
    if (n == most)
        argp_failure(state, 2, 0, "'%s' is one %s too many: there may be %zu", word, what, most);
    words[n] = word;
}

void argument_bytes(struct argp_state *state, const char *name, const char *text, size_t most, char **ret_bytes,
                    size_t *ret_size)
{
    char *bytes;
    size_t size;
    int r = text_unescape(text, &bytes, &size);
    if (r == -EINVAL)
        argp_failure(state, 2, 0, "--%s=%s: behind a backslash stands n, r, t, 0, another backslash, or x and two "
                     "hexadecimal digits", name, text);
    if (r < 0)
        argp_failure(state, 1, 0, "--%s: %s", name, strerror(-r));
    if (size < 1 || size > most) {
        free(bytes);
        argp_failure(state, 2, 0, "--%s has %zu bytes: give from 1 to %zu", name, size, most);
    }
    free(*ret_bytes);
    *ret_bytes = bytes;
    *ret_size = size;
}

int argument_addresses(const char *command, const char *text, struct addresses *ret_addresses)
{
    const char *why = NULL, *address = text ? text : ARGUMENT_DEFAULT_ADDRESS;
    struct addresses addresses;
    int r = sb_address_resolve(address, NULL, &addresses.list, &addresses.count, &why);
    if (r == 0) {
        if (addresses.count == 1)
            sb_address_format(addresses.list, addresses.name);
        else
            snprintf(addresses.name, sizeof addresses.name, "%s", address);
        *ret_addresses = addresses;
        return 0;
    }
    fprintf(stderr, "%s: address '%s': %s\n", command, address, why ? why : strerror(-r));
    return r == -EINVAL || r == -ENAMETOOLONG ? 2 : 1;
}

/* --- numbers ------------------------------------------------------------------------------------------------------ */

bool argument_is_whole(const char *text, long long min, long long max, long long *ret_number)
{
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    bool good = end != text && *end == '\0' && errno == 0 && number >= min && number <= max;
    if (good)
        *ret_number = number;
    return good;
}

static bool is_real(const char *text, double min, double max, double *ret_number)
{
    char *end;
    *ret_number = strtod(text, &end);
    return end != text && *end == '\0' && *ret_number >= min && *ret_number <= max;
}

/* argp(3) puts a root of its own above the command's options. */
static const char *option_name(const struct argp *argp, int key)
{
    const char *name = NULL;
    for (const struct argp_option *option = argp->options; option && (option->name || option->key); option++)
        if (option->key == key)
            return option->name;
    for (const struct argp_child *child = argp->children; child && child->argp && !name; child++)
        name = option_name(child->argp, key);
    return name;
}

static void refuse(const struct argument *argument, const char *text, struct argp_state *state, const char *what)
{
    argp_failure(state, 2, 0, "--%s=%s: it must be a %s from %.10g to %.10g", option_name(state->root_argp,
                 argument->key), text, what, argument->min, argument->max);
}

static int take_whole(const struct argument *argument, const char *text, struct argp_state *state)
{
    long long number = 0;
    if (!argument_is_whole(text, (long long)argument->min, (long long)argument->max, &number))
        refuse(argument, text, state, "whole number");
    return (int)number;     /* an unsigned's bits, too */
}

static double take_real(const struct argument *argument, const char *text, struct argp_state *state, const char *what)
{
    double number;
    if (!is_real(text, argument->min, argument->max, &number))
        refuse(argument, text, state, what);
    return number;
}

/* --- tables ------------------------------------------------------------------------------------------------------- */

static void store(const struct argument *argument, char *text, struct argp_state *state)
{
    static const char seconds[] = "number of seconds";
    void *target = (char *)state->input + argument->offset;
    switch (argument->kind) {
    case ARGUMENT_FLAG:
        *(bool *)target = true;
        break;
    case ARGUMENT_TEXT:
        *(const char **)target = text;
        break;
    case ARGUMENT_LIST:
        argument_add(state, argument->key == ARGP_KEY_ARG ? "ADDRESS" : option_name(state->root_argp, argument->key),
                     target, (size_t)argument->max, text);
        break;
    case ARGUMENT_NUMBER:
        *(int *)target = take_whole(argument, text, state);
        break;
    case ARGUMENT_SECONDS:
        *(double *)target = take_real(argument, text, state, seconds);
        break;
    case ARGUMENT_MS:
        *(int *)target = (int)(take_real(argument, text, state, seconds) * 1000 + 0.5);
        break;
    case ARGUMENT_RATE:
        *(double *)target = take_real(argument, text, state, "number for each second");
        break;
    default:
        break;
    }
}

error_t argument_take(const struct argument *table, int key, char *text, struct argp_state *state)
{
    for (; table->kind != ARGUMENT_END; table++)
        if (table->key == key) {
            store(table, text, state);
            return 0;
        }
    return ARGP_ERR_UNKNOWN;
}

void argument_parse(const struct argp *argp, int argc, char **argv, void *input)
{
    argp_err_exit_status = 2;
    error_t error;
    for (int tries = 0; (error = argp_parse(argp, argc, argv, 0, NULL, input)) == ENOMEM && tries < 50; tries++)
        usleep(20000);      /* it has read nothing yet; and a program that takes over should not end for so little */
    if (error != 0) {
        fprintf(stderr, "%s: cannot read the command line: %s\n", argv[0], strerror(error));
        exit(1);
    }
}
