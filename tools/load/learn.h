/* What a server answers, so that its other answers can be measured by it. */
#ifndef LEARN_H
#define LEARN_H

#include <stddef.h>
#include <switchboard/address.h>

/* Asks once, on a connection of its own whose sending side is then shut down, and returns all that comes until the
 * other end does the same (datagrams: the first one), at least 1 byte. *ret_answer: malloc'd, the caller's.
 * -ETIMEDOUT after timeout_ms, -ENODATA when nothing came, -EMSGSIZE over 16 MiB, or what connect(2), send(2) and
 * recv(2) say. */
int load_learn(const struct sb_address *address, const char *question, size_t question_size, int timeout_ms,
               char **ret_answer, size_t *ret_size);

#endif
