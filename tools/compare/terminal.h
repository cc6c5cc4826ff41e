/* Text on a terminal: how wide it is, where it breaks, and in which colours. Where the locale has no µ, a u stands for
 * it; other characters that it cannot show, and control characters, are question marks. */
#ifndef TERMINAL_H
#define TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Columns that a line may have: one less than the terminal, for some go to the next line as soon as one is full;
 * `otherwise` when the stream is none. */
int terminal_width(FILE *stream, int otherwise);

/* A terminal that understands escape sequences. */
bool terminal_is_clever(FILE *stream);

/* The same, and the user has nothing against colours (no-color.org). */
bool terminal_has_colours(FILE *stream);

/* Columns that a text takes. */
int text_width(const char *text);

/* Writes a text in `columns`, or more if it needs them: blanks before it (right) or behind it. */
void text_pad(FILE *out, const char *text, int columns, bool right);

/* Writes a text that begins in column `indent`, broken between words before `width`; lines after the first are indented
 * by as much. A newline ends it; newlines in it are blanks. */
void text_wrap(FILE *out, const char *text, int width, int indent);

/* Writes the characters that fit into `columns`. */
void text_cut(FILE *out, const char *text, int columns);

/* "24,013", "-0.25"; "-" for what is no finite number. Returns text. */
#define NUMBER_SIZE 32
char *number_format(double value, int digits, char text[NUMBER_SIZE]);

#endif
