/* Who is at the other end, and what is said of it. Private. */
#ifndef VERBS_PEER_H
#define VERBS_PEER_H

#include <stddef.h>

/* Text from outside in a line of a log: a dot for each byte of a control character, 0 to 31, 127, and U+0080 to U+009F
 * in UTF-8. */
void sb_make_harmless(char *text, size_t size);

#endif
