/* Where a running server is asked for changes: a Unix socket of mode 600, for its own user and root (SO_PEERCRED,
 * unix(7)). A request is one packet of words with a NUL behind each, and so is each answer; the connection's end is the
 * end of the answers. It bears callers that say nothing, or nonsense, or come in crowds. */
#ifndef SERVE_CONTROL_H
#define SERVE_CONTROL_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#define CONTROL_WORDS_MAX 128
#define CONTROL_PACKET_SIZE 65536
#define CONTROL_PATH_SIZE 100

/* The first word of an answer: it has happened, or it has not. */
#define CONTROL_DONE "done"
#define CONTROL_REFUSED "refused"

struct control;
struct control_caller;

/* Opens it below XDG_RUNTIME_DIR, or TMPDIR or /tmp, under a name that nobody can guess, and removes those there that
 * servers have left behind which were killed. 0, or -errno when it has said
 * why not. *ret_control is the caller's. close: removes the file. leave: in a forked child, that leaves it. */
int control_open(struct control **ret_control);
void control_close(struct control *control);
void control_leave(struct control *control);
const char *control_path(const struct control *control);

/* When the program's file is run anew: hand_down keeps the socket and one caller (NULL: none) open across execve(2), or
 * no longer; take_over makes a control of them again, -ENOMEM. -1 for no caller. */
int control_hand_down(struct control *control, struct control_caller *caller, bool open, int *ret_fd,
                      int *ret_caller_fd);
int control_take_over(int fd, int caller_fd, const char *path, struct control **ret_control,
                      struct control_caller **ret_caller);

/* What to poll(2) for, at most `room`: how many; *ret_timeout_ms is lowered to when to look again. look: takes in what
 * has come. */
unsigned control_poll(struct control *control, struct pollfd *fds, unsigned room, int *ret_timeout_ms);
void control_look(struct control *control);

/* The caller who has waited longest for its request to be taken up, and the request; NULL: nobody. *ret_words ends with
 * a NULL; it is good as long as the caller is. */
struct control_caller *control_next(struct control *control, const char *const **ret_words);

/* An answer, to a caller who may have left; NULL: nobody asked. end: there will be no more. refuse: this is the only
 * one, and says why not. */
void control_answer(struct control_caller *caller, const char *verdict, const char *text);
void control_end(struct control_caller *caller);
void control_refuse(struct control_caller *caller, const char *why);

/* A caller whose change has happened, and who waits for more, unless it has to give way to others who need the room.
 * answer_waiting: the last answer to all who wait for that. */
void control_wait_for(struct control_caller *caller, unsigned number);
void control_answer_waiting(struct control *control, unsigned number, const char *text);

#endif
