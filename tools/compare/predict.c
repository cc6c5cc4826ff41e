#include "table.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "scenario.h"
#include "terminal.h"

#define SEPARATORS " ,;>\t\r\n"

/* --- the question ------------------------------------------------------------------------------------------------- */

/* As it was typed on the command line: pool is pool:4 when nobody else is. */
static int find_contestant(const struct match *match, const char *name)
{
    size_t length = strlen(name);
    int found = -1;
    for (unsigned i = 0; i < match->n_contestants; i++) {
        const char *other = match->contestants[i].name;
        if (strcasecmp(other, name) == 0)
            return i;
        if (strncasecmp(other, name, length) == 0 && other[length] == ':' && !strpbrk(other, "+@"))
            found = found == -1 ? (int)i : -2;
    }
    return found;
}

/* By its name or its number; -1: neither. */
static int parse_contestant(const struct match *match, const char *word)
{
    char *end;
    int found = find_contestant(match, word);
    if (found >= 0 || !isdigit((unsigned char)word[0]))
        return found;
    unsigned long number = strtoul(word, &end, 10);
    return *end == '\0' && number >= 1 && number <= match->n_contestants ? (int)number - 1 : -1;
}

static bool is_among(unsigned choice, const unsigned *choices, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (choices[i] == choice)
            return true;
    return false;
}

/* Returns how many contestants a line names; 0 after a complaint. */
static unsigned parse_guess(const struct match *match, char *line, unsigned *choices, FILE *out)
{
    unsigned n = 0;
    char *rest;
    for (char *word = strtok_r(line, SEPARATORS, &rest); word; word = strtok_r(NULL, SEPARATORS, &rest)) {
        int found = parse_contestant(match, word);
        if (found < 0) {
            fprintf(out, "'%s' is neither a number from 1 to %u nor a name of the list: try again.\n", word,
                    match->n_contestants);
            return 0;
        }
        if (is_among(found, choices, n)) {
            fprintf(out, "%s can have one place only: try again.\n", match->contestants[found].name);
            return 0;
        }
        choices[n++] = found;
    }
    if (n == 0)
        fprintf(out, "Give at least one; Control-C leaves.\n");
    return n;
}

static void put_question(const struct match *match, FILE *out)
{
    const struct metric_info *metric = &metric_infos[match->scenario->primary];
    fprintf(out, "%s: what is your guess?\n\n", match->scenario->title);
    for (unsigned i = 0; i < match->n_contestants; i++)
        fprintf(out, "%4u  %s\n", i + 1, match->contestants[i].name);
    fprintf(out, "\nWhat counts: %s. The %s, the better.\n", metric->meaning, metric->better > 0 ? "more" : "less");
}

/* Returns how many were chosen; 0 at the end of the input. */
static unsigned ask(const struct match *match, FILE *in, FILE *out, const volatile bool *stop, unsigned *choices)
{
    char *line = NULL;
    size_t room = 0;
    unsigned n = 0;
    while (n == 0) {
        fputs("Best first, numbers or names: ", out);
        fflush(out);
        if (*stop || getline(&line, &room, in) < 0 || *stop)
            break;
        n = parse_guess(match, line, choices, out);
    }
    free(line);
    return n;
}

static void free_names(char **names, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        free(names[i]);
    free(names);
}

static char **copy_names(const struct match *match, const unsigned *choices, unsigned n)
{
    char **names = calloc(n, sizeof *names);
    for (unsigned i = 0; names && i < n; i++) {
        names[i] = strdup(match->contestants[choices[i]].name);
        if (!names[i]) {
            free_names(names, i);
            return NULL;
        }
    }
    return names;
}

int predict_ask(struct match *match, FILE *in, FILE *out, const volatile bool *stop)
{
    unsigned choices[match->n_contestants + 1];
    put_question(match, out);
    unsigned n = ask(match, in, out, stop, choices);
    if (n == 0)
        return -ECANCELED;
    char **names = copy_names(match, choices, n);
    if (!names)
        return -ENOMEM;
    match->prediction = names;
    match->n_prediction = n;
    return 0;
}

/* --- the answer --------------------------------------------------------------------------------------------------- */

/* The median by which a guessed contestant was placed, NaN: it was not measured. */
static double measured(const struct match *match, const char *name)
{
    int found = find_contestant(match, name);
    return found < 0 ? NAN : contestant_spread(&match->contestants[found], match->scenario->primary).median;
}

static bool is_right(const struct match *match, const char *guess, unsigned in_place)
{
    return measured(match, guess) == measured(match, match->contestants[in_place].name);
}

static void score_pair(struct prediction_score *score, double first, double second, bool more_is_better)
{
    if (isnan(first) || isnan(second))
        return;
    score->pairs++;
    score->agree += more_is_better ? first > second : first < second;
    score->disagree += more_is_better ? first < second : first > second;
}

struct prediction_score predict_score(const struct match *match)
{
    struct prediction_score score = { .tau = NAN };
    unsigned order[match->n_contestants + 1], n_guesses = match->n_prediction;
    char *const *guess = match->prediction;
    score.places = match_rank(match, match->scenario->primary, order);
    for (unsigned i = 0; i < n_guesses; i++) {
        score.right += i < score.places && is_right(match, guess[i], order[i]);
        for (unsigned j = i + 1; j < n_guesses; j++)
            score_pair(&score, measured(match, guess[i]), measured(match, guess[j]),
                       metric_infos[match->scenario->primary].better > 0);
    }
    if (score.pairs > 0)
        score.tau = ((double)score.agree - score.disagree) / score.pairs;
    return score;
}

static void put_place(const struct match *match, unsigned place, const unsigned *order, unsigned n_measured,
                      int width, FILE *out)
{
    const char *guess = place < match->n_prediction ? match->prediction[place] : "";
    bool right = place < n_measured && guess[0] && is_right(match, guess, order[place]);
    fprintf(out, "%4u  ", place + 1);
    text_pad(out, guess, width + 2, false);
    text_pad(out, place < n_measured ? match->contestants[order[place]].name : "", right ? width : 0, false);
    fputs(right ? "  right\n" : "\n", out);
}

static int names_width(const struct match *match)
{
    int width = text_width("your guess");
    for (unsigned i = 0; i < match->n_contestants; i++)
        if (text_width(match->contestants[i].name) > width)
            width = text_width(match->contestants[i].name);
    return width;
}

static void put_score(const struct prediction_score *score, FILE *out)
{
    char places[64], pairs[160] = "", tau[NUMBER_SIZE], all[sizeof places + sizeof pairs];
    snprintf(places, sizeof places, "Places guessed rightly: %u of %u.", score->right, score->places);
    if (score->pairs > 0)
        snprintf(pairs, sizeof pairs, "Pairs in the right order: %u of %u; Kendall's tau is %s (1: all, 0: as by "
                 "chance, -1: none).", score->agree, score->pairs, number_format(score->tau, 2, tau));
    snprintf(all, sizeof all, "%s %s", places, pairs);
    text_wrap(out, all, terminal_width(out, 100), 0);
    fputc('\n', out);
}

void predict_print(const struct match *match, FILE *out)
{
    if (!match->prediction)
        return;
    struct prediction_score score = predict_score(match);
    unsigned order[match->n_contestants + 1], n = match_rank(match, match->scenario->primary, order);
    int width = names_width(match);
    fputs("      ", out);
    text_pad(out, "your guess", width + 2, false);
    fputs("measured\n", out);
    for (unsigned place = 0; place < n || place < match->n_prediction; place++)
        put_place(match, place, order, n, width, out);
    put_score(&score, out);
}
