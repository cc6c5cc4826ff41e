/* What people type for what is sent. */
#ifndef TEXT_H
#define TEXT_H

#include <stddef.h>

/* Bytes for a text with \n, \r, \t, \0, \\ and \xHH; any may be 0, so the size tells. *ret_bytes: malloc'd, the
 * caller's. Returns 0, -EINVAL for another backslash, or -ENOMEM. */
int text_unescape(const char *text, char **ret_bytes, size_t *ret_size);

#endif
