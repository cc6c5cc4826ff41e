#include "show.h"

#include <stdbool.h>
#include <stdint.h>

/* The bytes of the UTF-8 character that begins with this one; 0: none does. */
static size_t promised_size(unsigned char first)
{
    return first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
}

static bool is_printable(uint32_t character, size_t size)
{
    static const uint32_t smallest[] = { 0, 0x20, 0xa0, 0x800, 0x10000 };
    bool surrogate = character >= 0xd800 && character <= 0xdfff;

    return character >= smallest[size] && character <= 0x10ffff && character != 0x7f && !surrogate;
}

/* The bytes of the printable character at the front, 0 where there is none. size > 0. */
static size_t character_size(const unsigned char *bytes, size_t size)
{
    size_t promised = promised_size(bytes[0]);

    if (promised == 0 || promised > size)
        return 0;
    uint32_t character = promised == 1 ? bytes[0] : bytes[0] & (0x7f >> promised);
    for (size_t i = 1; i < promised; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
        character = character << 6 | (bytes[i] & 0x3f);
    }
    return is_printable(character, promised) ? promised : 0;
}

static void show_escaped(FILE *stream, unsigned char byte)
{
    switch (byte) {
    case '\n':
        fputs("\\n", stream);
        break;
    case '\r':
        fputs("\\r", stream);
        break;
    case '\t':
        fputs("\\t", stream);
        break;
    default:
        fprintf(stream, "\\x%02x", byte);
    }
}

void show_bytes(FILE *stream, const char *what, unsigned long number, const char *bytes, size_t size)
{
    fprintf(stream, "%s %lu: %zu byte%s%s", what, number, size, size == 1 ? "" : "s", size > 0 ? ": " : "");
    for (size_t at = 0, length; at < size; at += length > 0 ? length : 1) {
        length = character_size((const unsigned char *)bytes + at, size - at);
        if (bytes[at] == '\\')
            fputs("\\\\", stream);
        else if (length > 0)
            fwrite(bytes + at, 1, length, stream);
        else
            show_escaped(stream, bytes[at]);
    }
    fputc('\n', stream);
}
