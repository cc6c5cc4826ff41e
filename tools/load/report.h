/* What a load has found, on standard output. */
#ifndef REPORT_H
#define REPORT_H

#include "load.h"

/* learned: the answer that it expects is the first one that came. */
void load_report(const struct load_plan *plan, const char *address, bool learned, const struct load_result *result);

#endif
