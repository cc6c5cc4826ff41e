/* Whether a program would go on in the place of this one: it is run once before, in a child. Private. */
#ifndef TRIAL_H
#define TRIAL_H

#include <stdbool.h>
#include <stddef.h>

/* Its exit status then: no other program has it by chance. */
enum { SB_TRIAL_PASSED = 97 };

/* Runs `path` with argv[] and what is in the environment, no signal blocked or handled; for ten seconds at most, and no
 * longer than until is_over(data). 0: it has passed; -ENOEXEC: it has not, or it was over; or -errno. A failure
 * comes with a sentence in `why`, of why_size bytes: where it has said something, with the last line of that. */
int sb_trial_run(const char *path, char *const argv[], bool (*is_over)(const void *data), const void *data, char *why,
                 size_t why_size);

#endif
