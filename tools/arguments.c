#include "arguments.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

long argument_number(struct argp_state *state, const char *name, const char *text, long min, long max)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || number < min || number > max)
        argp_failure(state, 2, 0, "--%s=%s: it must be a whole number from %ld to %ld", name, text, min, max);
    return number;
}

int argument_address(const char *command, const char *text, struct sb_address *ret_address)
{
    const char *why = NULL;
    int r = sb_address_parse(text, NULL, ret_address, &why);
    if (r == 0)
        return 0;
    fprintf(stderr, "%s: address '%s': %s\n", command, text, why ? why : strerror(-r));
    return r == -EINVAL || r == -ENAMETOOLONG ? 2 : 1;
}
