/* The client's answer to a server that asks who calls: HMAC(key, challenge), RFC 2104. */
#ifndef AUTH_H
#define AUTH_H

#include <stdbool.h>
#include <stddef.h>

#define CLIENT_AUTH_DIGEST "sha256"

/* The first three are the command line's; the rest belongs to these functions. */
struct client_auth {
    const char *key_file, *key_env;     /* where the key is, one of them; both NULL: there is none */
    const char *digest;                 /* any that libcrypto has */

    unsigned char key[4096 + 2];        /* room to notice a key that is too long, and its newline */
    size_t key_size;
};

static inline bool client_auth_is_wanted(const struct client_auth *auth)
{
    return auth->key_file || auth->key_env;
}

/* Reads the key and tries the digest. Returns 0, or the exit status after saying why. client_auth_close() in any case
 * forgets the key. */
int client_auth_open(struct client_auth *auth);
void client_auth_close(struct client_auth *auth);

/* Reads the server's challenge from fd, not a byte more, and answers it, within timeout_ms milliseconds. name is the
 * server's address. Returns 0, or the exit status after saying why. What the server thinks of the answer it does not
 * say: it goes on, or closes. */
int client_auth_answer(const struct client_auth *auth, int fd, const char *name, int timeout_ms);

#endif
