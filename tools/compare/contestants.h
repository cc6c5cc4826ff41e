/* Strategies as the command line lists them: "serial,prefork:4@reuseport,prefork:4+thread". */
#ifndef CONTESTANTS_H
#define CONTESTANTS_H

#include <stdbool.h>
#include "comparison.h"

/* What is compared when nothing else is said. N stands for the number of workers. */
extern const char usual_strategies[];

/* Makes a match's contestants of a list: names with commas between, each a strategy, and, behind @, a discipline.
 * Workers without a count get `workers`, as does a count N. Each is shown to the library, which knows what makes sense;
 * with `lenient` what it does not have here (io_uring) is left out. Returns 0, -EINVAL with a sentence in why, or
 * -ENOMEM. The contestants are the match's: match_finish(). */
int contestants_make(const char *list, unsigned workers, bool lenient, struct match *match, char why[SUBJECT_WHY_SIZE]);

#endif
