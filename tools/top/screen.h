/* The terminal: what a server does, and keys that change it. */
#ifndef TOP_SCREEN_H
#define TOP_SCREEN_H

#include "view.h"

/* Until the user or the server ends it. Returns the exit status. */
int screen_run(struct view *view, double delay_s);

#endif
