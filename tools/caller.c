#include "caller.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "arguments.h"

static const char *hint(int error)
{
    switch (error) {
    case ECONNREFUSED:
        return ": no server listens there";
    case ENOENT:
        return ": there is no such socket";
    case EPROTOTYPE:
        return ": that socket is of the other kind, unix: is for streams and unixgram: for datagrams";
    default:
        return "";
    }
}

const char *caller_explain(int error, const char *name, char text[CALLER_WHY_SIZE])
{
    bool is_default = strcmp(name, ARGUMENT_DEFAULT_ADDRESS) == 0;
    int length = snprintf(text, CALLER_WHY_SIZE, "%s%s", strerror(error), hint(error));
    if (error == ECONNREFUSED || error == ENOENT)
        snprintf(text + length, CALLER_WHY_SIZE - (size_t)length, "; start one with 'switchboard serve upper%s%s'",
                 is_default ? "" : " ", is_default ? "" : name);
    return text;
}
