/* A lesson: a text file that sets the stage, asks, changes and explains, step by step. README.md has the format. */
#ifndef LAB_LESSON_H
#define LAB_LESSON_H

#include <stdbool.h>
#include <stddef.h>
#include "orders.h"

#define LESSON_ACTS_MAX 8
#define LESSON_STEPS_MAX 32
#define LESSON_SIZE_MAX (256 * 1024)    /* bytes of a file */

enum lesson_language { LESSON_EN, LESSON_ZH, LESSON_LANGUAGES };

/* UTF-8 without control characters. NULL: not there; Chinese is there only beside English. Paragraphs are separated by
 * one newline; only text, ask and explain have more than one. */
struct lesson_text {
    char *in[LESSON_LANGUAGES];
};

struct lesson_step {
    struct lesson_text text, ask, explain;      /* text.in[LESSON_EN] is always there */
    struct order_change change;
    bool sets_load;
    bool has_kind, has_callers, has_rate, has_think, has_question;  /* which of load's are set here; the others stay */
    struct order_load load;
    enum order_act acts[LESSON_ACTS_MAX];       /* in their order; none that needs a pid */
    unsigned n_acts;
};

struct lesson {
    char *name;                     /* of its file, without the folder and ".lesson" */
    struct lesson_text title;       /* title.in[LESSON_EN] is always there */
    char *source;                   /* NULL: none */
    struct lesson_step *steps;
    unsigned n_steps;               /* at least 1 */
};

/* Reads a lesson's text, of `size` bytes (a NUL among them is an error like any control character). A byte order mark
 * in front and a carriage return at the end of a line are passed over. Returns 0; -EINVAL with a sentence in why, which
 * begins with the line's number, as in "7: there is no key 'txt': ..."; -ENOMEM with a sentence.
 *
 * What is no line of the format, bad UTF-8, a key that is unknown, twice, empty (but `question:`) or out of place, a
 * number out of range, an unknown discipline, kind or act, a word of ORDER_TEXT_SIZE bytes or more, more steps, acts or
 * options than there may be, Chinese without English, a step without text, a lesson without title or steps: all are
 * errors. Whether there is such a strategy, handler or option is the server's to say.
 *
 * *ret_lesson is the caller's, for lesson_free(); untouched on failure. Why, as far as there is room, ends with a NUL,
 * and holds neither half a character nor one that controls. */
int lesson_parse(const char *name, const char *text, size_t size, struct lesson *ret_lesson, char *why,
                 size_t why_size);

/* The same from a file, or a pipe: errno's too, with a sentence without a line's number: "it cannot be read: ...". */
int lesson_read(const char *path, struct lesson *ret_lesson, char *why, size_t why_size);

/* Accepts what is zero. */
void lesson_free(struct lesson *lesson);

/* The load of a step, over what there was. */
void lesson_apply_load(const struct lesson_step *step, struct order_load *load);

/* The lessons that are built in (lessons/NAME.lesson, by assemble.py), in their order. */
struct lesson_source {
    const char *name, *text;
    size_t size;
};
extern const struct lesson_source lesson_sources[];
extern const unsigned n_lesson_sources;

#endif
