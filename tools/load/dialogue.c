#include "dialogue.h"

#include <string.h>

/* The zeroes are replaced by the number. Around the letters stand the neighbours of their ranges, which must stay. */
#define DIGITS_AT 8
#define DIGITS    12
static const char question_line[] = "Request 000000000000: abcdefghijklm {`} NOPQRSTUVWXYZ [@] 2*3=6\n";
static const char capital_line[]  = "REQUEST 000000000000: ABCDEFGHIJKLM {`} NOPQRSTUVWXYZ [@] 2*3=6\n";
_Static_assert(sizeof question_line == DIALOGUE_LINE_SIZE + 1 && sizeof capital_line == sizeof question_line, "");

static void write_line(char line[DIALOGUE_LINE_SIZE], const char *pattern, uint64_t number)
{
    memcpy(line, pattern, DIALOGUE_LINE_SIZE);
    for (char *digit = line + DIGITS_AT + DIGITS - 1; digit >= line + DIGITS_AT; digit--, number /= 10)
        *digit = (char)('0' + number % 10);
}

const char *dialogue_question(const struct load_dialogue *dialogue, uint64_t number, char line[DIALOGUE_LINE_SIZE],
                              size_t *ret_size)
{
    if (dialogue->expects != LOAD_CAPITALS) {
        *ret_size = dialogue->question_size;
        return dialogue->question;
    }
    write_line(line, question_line, number);
    *ret_size = DIALOGUE_LINE_SIZE;
    return line;
}

static enum verdict check_text(struct answer *answer, const char *text, size_t text_size, const char *bytes,
                               size_t size)
{
    if (size > text_size - answer->size || memcmp(text + answer->size, bytes, size) != 0)
        return ANSWER_WRONG;
    answer->size += size;
    return answer->size == text_size ? ANSWER_WHOLE : ANSWER_PART;
}

static enum verdict check_number(struct answer *answer, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++, answer->size++) {
        if (bytes[i] == '\n')
            return answer->size > 0 && i + 1 == size ? ANSWER_WHOLE : ANSWER_WRONG;
        if (bytes[i] < '0' || bytes[i] > '9' ||
            __builtin_mul_overflow(answer->number, (uint64_t)10, &answer->number) ||
            __builtin_add_overflow(answer->number, (uint64_t)(bytes[i] - '0'), &answer->number))
            return ANSWER_WRONG;
    }
    return ANSWER_PART;
}

static enum verdict check_line(const char *bytes, size_t size)
{
    const char *end = memchr(bytes, '\n', size);
    return !end ? ANSWER_PART : end + 1 == bytes + size ? ANSWER_WHOLE : ANSWER_WRONG;
}

enum verdict dialogue_check(const struct load_dialogue *dialogue, uint64_t number, struct answer *answer,
                            const char *bytes, size_t size)
{
    char line[DIALOGUE_LINE_SIZE];
    switch (dialogue->expects) {
    case LOAD_NUMBER:
        return check_number(answer, bytes, size);
    case LOAD_LINE:
        return check_line(bytes, size);
    case LOAD_TEXT:
        return check_text(answer, dialogue->answer, dialogue->answer_size, bytes, size);
    default:
        write_line(line, capital_line, number);
        return check_text(answer, line, sizeof line, bytes, size);
    }
}

char dialogue_drip(const struct load_dialogue *dialogue, size_t n)
{
    size_t size;
    char line[DIALOGUE_LINE_SIZE];
    const char *question = dialogue_question(dialogue, 0, line, &size);
    return question[n % size] == '\n' ? ' ' : question[n % size];
}
