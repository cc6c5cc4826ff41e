/* For an output that is no terminal: a line for each look. */
#ifndef TOP_LINES_H
#define TOP_LINES_H

#include "view.h"

/* Until the server has ended, or so many lines were written (0: no limit). Returns the exit status. */
int lines_run(struct view *view, double delay_s, unsigned count);

#endif
