#include "terminal.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

int terminal_width(FILE *stream, int otherwise)
{
    struct winsize size;
    if (ioctl(fileno(stream), TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return otherwise;
    return size.ws_col - 1;
}

bool terminal_is_clever(FILE *stream)
{
    const char *name = getenv("TERM");
    return isatty(fileno(stream)) && name && strcmp(name, "dumb") != 0;
}

bool terminal_has_colours(FILE *stream)
{
    const char *no_colour = getenv("NO_COLOR");
    return terminal_is_clever(stream) && (!no_colour || !no_colour[0]);
}

/* A character as it is shown. */
struct shown {
    const char *text;
    int size, columns;
};

/* The character that a text begins with; returns its size in the text. */
static size_t next_character(const char *text, struct shown *ret_shown)
{
    wchar_t character;
    mbstate_t state = { 0 };
    size_t size = mbrtowc(&character, text, strnlen(text, MB_LEN_MAX), &state);
    bool valid = size <= MB_LEN_MAX;
    if (valid && wcwidth(character) >= 0) {
        *ret_shown = (struct shown){ text, size, wcwidth(character) };
        return size;
    }
    if (strncmp(text, "µ", strlen("µ")) == 0) {
        *ret_shown = (struct shown){ "u", 1, 1 };
        return strlen("µ");
    }
    *ret_shown = (struct shown){ "?", 1, 1 };
    return valid ? size : 1;
}

static int span_width(const char *text, size_t size)
{
    struct shown shown;
    int columns = 0;
    for (const char *end = text + size; text < end; columns += shown.columns)
        text += next_character(text, &shown);
    return columns;
}

static void put_span(FILE *out, const char *text, size_t size)
{
    struct shown shown;
    for (const char *end = text + size; text < end; fwrite(shown.text, 1, shown.size, out))
        text += next_character(text, &shown);
}

int text_width(const char *text)
{
    return span_width(text, strlen(text));
}

void text_pad(FILE *out, const char *text, int columns, bool right)
{
    int blanks = columns - text_width(text);
    if (right && blanks > 0)
        fprintf(out, "%*s", blanks, "");
    put_span(out, text, strlen(text));
    if (!right && blanks > 0)
        fprintf(out, "%*s", blanks, "");
}

void text_wrap(FILE *out, const char *text, int width, int indent)
{
    static const char blanks[] = " \t\r\n";
    int column = indent;
    text += strspn(text, blanks);
    while (*text) {
        size_t size = strcspn(text, blanks);
        int columns = span_width(text, size);
        if (column > indent && column + 1 + columns > width) {
            fprintf(out, "\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', out);
            column++;
        }
        put_span(out, text, size);
        column += columns;
        text += size + strspn(text + size, blanks);
    }
    fputc('\n', out);
}

void text_cut(FILE *out, const char *text, int columns)
{
    struct shown shown;
    while (*text) {
        text += next_character(text, &shown);
        columns -= shown.columns;
        if (columns < 0)
            return;
        fwrite(shown.text, 1, shown.size, out);
    }
}

char *number_format(double value, int digits, char text[NUMBER_SIZE])
{
    if (!isfinite(value) || fabs(value) >= 1e15) {
        strcpy(text, "-");
        return text;
    }
    char plain[NUMBER_SIZE], *at = text;
    bool minus = value <= -0.5 * pow(10, -digits);
    int length = snprintf(plain, sizeof plain, "%.*f", digits, fabs(value));
    int whole = digits > 0 ? length - digits - 1 : length;
    if (minus)
        *at++ = '-';
    for (int i = 0; i < whole; i++) {
        if (i > 0 && (whole - i) % 3 == 0)
            *at++ = ',';
        *at++ = plain[i];
    }
    /* The locale may have another point. */
    if (digits > 0)
        *at++ = '.';
    strcpy(at, plain + length - digits);
    return text;
}
