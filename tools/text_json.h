/* Bytes that may be no text, as a JSON string. */
#ifndef TEXT_JSON_H
#define TEXT_JSON_H

#include <jansson.h>

/* UTF-8 stays as it is; in other bytes each that is not ASCII is written as \xHH. NULL: no memory. */
json_t *text_json(const char *bytes);

#endif
