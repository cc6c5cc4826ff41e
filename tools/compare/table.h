/* The terminal: progress while it runs, then a table and a verdict for each scenario; a guess before, and beside the
 * measurement. The characters are those of the locale: call setlocale(LC_CTYPE, "") before. */
#ifndef TABLE_H
#define TABLE_H

#include <stdio.h>
#include "comparison.h"

/* One line on stderr that replaces itself, "short  round 2 of 5  prefork:4  41 s left", cut at the terminal's width;
 * nothing when stderr is no terminal or a dumb one. left_s below 0: not known yet. */
void progress_show(const char *scenario, unsigned round, unsigned rounds, const char *contestant, double left_s);

/* Takes the line away. */
void progress_clear(void);

/* Title, lesson, table and verdict: a row for each contestant, in the order of the command line: medians and, for the
 * primary metric, the quartiles and the judgement; a skipped one has its reason instead. Metrics that are known of
 * nobody have no column. Lines are as wide as the terminal, 100 columns where `out` is none; columns that have no place
 * follow in a second table. Colours only on a terminal, unless NO_COLOR (no-color.org) is set or TERM is "dumb". */
void table_print(const struct comparison *comparison, const struct match *match, FILE *out);

/* Asks for a ranking of a match's contestants, best first: their numbers, or names, separated by blanks or
 * commas; the rest may be left out. Asks again after a mistake. Sets match->prediction. Returns 0; -ENOMEM;
 * -ECANCELED at the end of the input or when *stop gets true (by a signal whose handler is set without SA_RESTART). */
int predict_ask(struct match *match, FILE *in, FILE *out, const volatile bool *stop);

/* What a guess was worth, by the medians of the match's primary metric. */
struct prediction_score {
    unsigned places, right;     /* that were measured, and that were guessed rightly; equal medians may change places */
    unsigned pairs;             /* of contestants that were both guessed and measured */
    unsigned agree, disagree;   /* pairs in the guessed order, and in the other; equal medians are neither */
    double tau;                 /* Kendall's tau-a of these pairs: 1 to -1; NaN without a pair */
};
struct prediction_score predict_score(const struct match *match);

/* The guess beside the measurement: for each place both names; then the score in words. After the match's table.
 * Nothing without a prediction. */
void predict_print(const struct match *match, FILE *out);

#endif
