/* Whether a load's plan makes sense. */
#ifndef PLAN_H
#define PLAN_H

#include "load.h"

/* What is wrong with it, a phrase; NULL: nothing. */
const char *plan_complaint(const struct load_plan *plan);

#endif
