#include "text_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json_t *text_json(const char *bytes)
{
    json_t *string = json_string(bytes);
    char *escaped = string ? NULL : malloc(4 * strlen(bytes) + 1), *end = escaped;
    if (!escaped)
        return string;
    for (*end = '\0'; *bytes; bytes++)
        end += sprintf(end, (unsigned char)*bytes < 128 ? "%c" : "\\x%02x", (unsigned char)*bytes);
    string = json_string(escaped);
    free(escaped);
    return string;
}
