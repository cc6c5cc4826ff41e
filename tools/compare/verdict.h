/* Conclusions from a match, one sentence a line: what the scenarios' `conclude` are made of. */
#ifndef VERDICT_H
#define VERDICT_H

#include <stdio.h>
#include "comparison.h"

/* The best and the worst by throughput, and who is too close to call with the best; who costs least processor time; for
 * whom the generator was the limit. */
void conclude_by_speed(const struct match *match, FILE *verdict);

/* Who was held up by callers who stay or dawdle: contestants that left requests unanswered. */
void conclude_held_up(const struct match *match, FILE *verdict);

void conclude_waiting(const struct match *match, FILE *verdict);
void conclude_spinning(const struct match *match, FILE *verdict);
void conclude_memory(const struct match *match, FILE *verdict);
void conclude_burst(const struct match *match, FILE *verdict);
void conclude_crashes(const struct match *match, FILE *verdict);
void conclude_counting(const struct match *match, FILE *verdict);
void conclude_wakeups(const struct match *match, FILE *verdict);
void conclude_control(const struct match *match, FILE *verdict);

/* Who has seen too little of what the scenario is about in some rounds, which then count for nothing. */
void conclude_too_little(const struct match *match, FILE *verdict);

/* Who gave wrong answers or died: first of all, in every scenario. Nothing when nobody did. */
void conclude_faults(const struct match *match, FILE *verdict);

#endif
