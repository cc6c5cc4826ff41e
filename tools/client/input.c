#include "input.h"

#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <readline/history.h>
#include <readline/readline.h>

#define READ_SIZE   (64 * 1024)
#define PROMPT      ">>: "

/* --- lines -------------------------------------------------------------------------------------------------------- */

static bool reserve(struct input *input, size_t size)
{
    size_t held = input->end - input->begin;

    if (held > 0 && input->begin > 0)
        memmove(input->bytes, input->bytes + input->begin, held);
    input->searched = input->searched > input->begin ? input->searched - input->begin : 0;
    input->begin = 0;
    input->end = held;
    if (input->capacity - held >= size)
        return true;
    size_t capacity = 2 * input->capacity + size;
    char *bytes = realloc(input->bytes, capacity);
    if (!bytes)
        return false;
    input->bytes = bytes;
    input->capacity = capacity;
    return true;
}

static int append_line(struct input *input, const char *line, size_t size)
{
    if (!reserve(input, size + 1))
        return -ENOMEM;
    memcpy(input->bytes + input->end, line, size);
    input->bytes[input->end + size] = '\n';
    input->end += size + 1;
    return 0;
}

/* A long line comes in many reads, and is searched once. */
static const char *find_newline(struct input *input)
{
    size_t from = input->searched > input->begin ? input->searched : input->begin;
    const char *newline = input->end > from ? memchr(input->bytes + from, '\n', input->end - from) : NULL;

    input->searched = newline ? (size_t)(newline - input->bytes) : input->end;
    return newline;
}

bool input_has_line(struct input *input)
{
    return (input->messages && *input->messages) || find_newline(input);
}

static const char *next_message(struct input *input, size_t *ret_size)
{
    const char *message = *input->messages;

    if (!message)
        return NULL;
    input->messages++;
    *ret_size = strlen(message);
    return message;
}

const char *input_next_line(struct input *input, size_t *ret_size)
{
    if (input->messages)
        return next_message(input, ret_size);
    const char *newline = find_newline(input);

    if (!newline)
        return NULL;
    const char *line = input->bytes + input->begin;
    *ret_size = newline - line;
    input->begin += *ret_size + 1;
    return line;
}

/* --- in a pipe ---------------------------------------------------------------------------------------------------- */

static int read_pipe(struct input *input)
{
    if (!reserve(input, READ_SIZE))
        return -ENOMEM;
    ssize_t size = read(STDIN_FILENO, input->bytes + input->end, READ_SIZE);
    if (size < 0)
        return errno == EINTR || errno == EAGAIN ? 0 : -errno;
    input->end += size;
    input->ended = size == 0;
    if (input->ended && input->end > input->begin && input->bytes[input->end - 1] != '\n')
        input->bytes[input->end++] = '\n';
    return 0;
}

/* --- on a terminal ------------------------------------------------------------------------------------------------ */

/* Readline's callback takes no argument. */
static struct input *prompting;

/* Python's str.strip() for ASCII. Returns the first byte that stays. */
static char *strip(char *text)
{
    size_t size = strlen(text);

    while (size > 0 && isspace((unsigned char)text[size - 1]))
        size--;
    text[size] = '\0';
    return text + strspn(text, " \t\n\v\f\r");
}

static void end_typing(struct input *input)
{
    putchar('\n');
    input->ended = true;
}

/* An empty line leaves the handler in place, so readline asks again. */
static void line_typed(char *text)
{
    struct input *input = prompting;
    char *line = text ? strip(text) : NULL;

    if (line && !*line) {
        free(text);
        return;
    }
    input->prompt_visible = false;
    prompt_remove(input);
    if (line) {
        input->error = append_line(input, line, strlen(line));
        add_history(line);
    } else {
        end_typing(input);
    }
    free(text);
}

bool prompt_show(struct input *input)
{
    if (!input->terminal || input->prompt_visible)
        return false;
    prompting = input;
    if (input->prompt_installed)
        rl_forced_update_display();
    else
        rl_callback_handler_install(PROMPT, line_typed);
    input->prompt_installed = input->prompt_visible = true;
    return true;
}

void prompt_hide(struct input *input)
{
    if (input->prompt_visible)
        rl_clear_visible_line();
    input->prompt_visible = false;
}

void prompt_remove(struct input *input)
{
    prompt_hide(input);
    if (input->prompt_installed)
        rl_callback_handler_remove();
    input->prompt_installed = false;
}

/* --- either ------------------------------------------------------------------------------------------------------- */

bool input_is_wanted(struct input *input)
{
    return input->terminal ? input->prompt_visible : !input->ended && !input_has_line(input);
}

int input_read(struct input *input)
{
    if (!input->terminal)
        return read_pipe(input);
    rl_callback_read_char();
    return input->error;
}

bool input_is_left(struct input *input)
{
    struct pollfd readable = { .fd = STDIN_FILENO, .events = POLLIN };

    while (!input->terminal && !input->ended && input->begin == input->end && poll(&readable, 1, 0) > 0)
        if (input_read(input) < 0)
            break;
    return (input->messages && *input->messages) || input->begin < input->end;
}

void input_end(struct input *input)
{
    input->ended = true;
    input->messages = NULL;
    input->begin = input->end;
}

void input_was_interrupted(struct input *input)
{
    if (input->terminal)
        rl_check_signals();
}

void input_open(struct input *input, const char *const *messages)
{
    bool terminal = !messages && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);

    *input = (struct input){ .messages = messages, .ended = messages != NULL, .terminal = terminal };
    if (!terminal)
        return;
    setlocale(LC_CTYPE, "");
    rl_readline_name = "switchboard";
    rl_persistent_signal_handlers = 1;  /* else ^C between two keys would leave the terminal raw */
    rl_bind_key('\t', rl_insert);
}

void input_close(struct input *input)
{
    prompt_remove(input);
    free(input->bytes);
    input->bytes = NULL;
}
