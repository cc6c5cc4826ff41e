/* Bytes made visible. */
#ifndef SHOW_H
#define SHOW_H

#include <stddef.h>
#include <stdio.h>

/* Writes "WHAT NUMBER: SIZE bytes: TEXT" and a newline; without the text where there is none. UTF-8 stays as it is;
 * control characters, a backslash and bytes that are no text are written as C does: \n, \\, \x00. Errors are left in
 * the stream (ferror(3)). */
void show_bytes(FILE *stream, const char *what, unsigned long number, const char *bytes, size_t size);

#endif
