/* Where the client's lines come from: the command line, a pipe, or a prompt with line editing (readline(3)). */
#ifndef INPUT_H
#define INPUT_H

#include <stdbool.h>
#include <stddef.h>

/* What was read and not yet taken is bytes[begin..end): lines, each with its newline, then perhaps a piece of one. */
struct input {
    char *bytes;
    size_t begin, end, capacity;
    size_t searched;            /* there is no newline in bytes[begin..searched) */
    bool ended;                 /* no more will come */
    const char *const *messages;    /* the command line's, up to a NULL: they are the lines then, and nothing is read */
    bool terminal, prompt_installed, prompt_visible;
    int error;                  /* of a typed line: readline's callback cannot return one */
};

/* messages: see above; NULL reads standard input, and uses the terminal when both it and standard output are one. One
 * input at a time; input_close() frees it. */
void input_open(struct input *input, const char *const *messages);
void input_close(struct input *input);

/* Whether a line waits to be taken; and whether standard input should be watched: not before that line is taken. */
bool input_has_line(struct input *input);
bool input_is_wanted(struct input *input);

/* Whether anything was not taken yet, even a piece of a line; in a pipe, also what waits there to be read. */
bool input_is_left(struct input *input);

/* Reads what is there. Returns 0, or -errno. */
int input_read(struct input *input);

/* As if the input had ended with the line last taken. */
void input_end(struct input *input);

/* To be called when a signal has interrupted a wait: readline acts on the signals it catches only when told. */
void input_was_interrupted(struct input *input);

/* The next line, without its newline. NULL: there is none yet. Valid until the next input_read(). */
const char *input_next_line(struct input *input, size_t *ret_size);

/* Shows the prompt, with what was typed so far. False: there is nothing to show. Hiding keeps what was typed, removing
 * gives the terminal back. All do nothing in a pipe. */
bool prompt_show(struct input *input);
void prompt_hide(struct input *input);
void prompt_remove(struct input *input);

#endif
