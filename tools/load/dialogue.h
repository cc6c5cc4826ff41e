/* Writes the questions, and checks the answers piece by piece. */
#ifndef DIALOGUE_H
#define DIALOGUE_H

#include "load.h"

#define DIALOGUE_LINE_SIZE 64

/* The question of request `number`. It lies in `line` where it is made for this request. */
const char *dialogue_question(const struct load_dialogue *dialogue, uint64_t number, char line[DIALOGUE_LINE_SIZE],
                              size_t *ret_size);

/* What has come of an answer so far; all zeroes: nothing. */
struct answer {
    size_t size;
    uint64_t number;    /* LOAD_NUMBER: of its digits */
};

enum verdict { ANSWER_PART, ANSWER_WHOLE, ANSWER_WRONG };

/* The next bytes of the answer to request `number`. Bytes behind its end make it wrong. */
enum verdict dialogue_check(const struct load_dialogue *dialogue, uint64_t number, struct answer *answer,
                            const char *bytes, size_t size);

/* The n-th byte that a slow client sends: never a newline. */
char dialogue_drip(const struct load_dialogue *dialogue, size_t n);

#endif
