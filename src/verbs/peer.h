/* Who is at the other end, and what is said of it. Private. */
#ifndef VERBS_PEER_H
#define VERBS_PEER_H

#include <errno.h>
#include "../objects.h"

/* What a call on the request's own connection has returned may tell that the caller is gone. */
static inline void sb_note_result(struct sb_request *request, ssize_t result)
{
    request->left |= result == -ECONNRESET || result == -EPIPE;
}

/* Whether an error, of the handler's, is just that. */
static inline bool sb_has_left(const struct sb_request *request, int error)
{
    return request->left && (error == -ECONNRESET || error == -EPIPE);
}

/* Text from outside in a line of a log: a dot for each byte of a control character, 0 to 31, 127, and U+0080 to U+009F
 * in UTF-8. */
void sb_make_harmless(char *text, size_t size);

#endif
