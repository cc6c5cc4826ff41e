#include "text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What stands behind a backslash; moves *text behind that. -EINVAL: nothing that is known. */
static int unescape(const char **text)
{
    static const char letters[] = "nrt0\\", bytes[] = "\n\r\t\0\\";
    char c = *(*text)++;
    if (c == 'x') {
        int high = hex_digit(**text), low = high < 0 ? -1 : hex_digit((*text)[1]);
        *text += low < 0 ? 0 : 2;
        return low < 0 ? -EINVAL : high * 16 + low;
    }
    const char *found = c != '\0' ? strchr(letters, c) : NULL;
    return found ? (unsigned char)bytes[found - letters] : -EINVAL;
}

int text_unescape(const char *text, char **ret_bytes, size_t *ret_size)
{
    char *bytes = malloc(strlen(text) + 1);
    size_t size = 0;
    int byte = 0;
    if (!bytes)
        return -ENOMEM;
    while (byte >= 0 && *text != '\0') {
        char c = *text++;
        byte = c == '\\' ? unescape(&text) : (unsigned char)c;
        bytes[size++] = byte;
    }
    if (byte < 0) {
        free(bytes);
        return byte;
    }
    bytes[size] = '\0';
    *ret_bytes = bytes;
    *ret_size = size;
    return 0;
}
