/* What is printed: a table in markdown, and for people who look for the cause, who writes what. */
#ifndef LOCKED_REPORT_H
#define LOCKED_REPORT_H

#include <stdio.h>

#include "trace.h"

void report_head(void);
/* `what`: "connection" or "exchange", of which there were `count`. */
void report_row(const char *strategy, const char *what, long count, const struct counts *counts);
/* While the program still lives. */
void report_lines(FILE *out, long count);

#endif
