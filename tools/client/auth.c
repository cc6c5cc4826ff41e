#include "auth.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "../clock.h"

enum { CHALLENGE_SIZE = 32, KEY_MAX = sizeof((struct client_auth *)0)->key - 2 };

/* --- the key ------------------------------------------------------------------------------------------------------ */

static int read_all(struct client_auth *auth, int fd)
{
    ssize_t size;

    do {
        size = read(fd, auth->key + auth->key_size, sizeof auth->key - auth->key_size);
        auth->key_size += size > 0 ? (size_t)size : 0;
    } while (size > 0 || (size < 0 && errno == EINTR));
    return size < 0 ? -errno : 0;
}

static int read_key_file(struct client_auth *auth)
{
    int fd = open(auth->key_file, O_RDONLY | O_CLOEXEC);
    int r = fd < 0 ? -errno : read_all(auth, fd);

    if (fd >= 0)
        close(fd);
    if (r < 0) {
        fprintf(stderr, "switchboard client: cannot read the key from %s: %s\n", auth->key_file, strerror(-r));
        return 1;
    }
    if (auth->key_size > 0 && auth->key[auth->key_size - 1] == '\n')
        auth->key_size--;
    return 0;
}

static int read_key_env(struct client_auth *auth)
{
    const char *value = getenv(auth->key_env);

    if (!value) {
        fprintf(stderr, "switchboard client: the environment has no variable %s that could hold the key\n",
                auth->key_env);
        return 1;
    }
    auth->key_size = strnlen(value, sizeof auth->key);
    memcpy(auth->key, value, auth->key_size);
    return 0;
}

static int check_key(const struct client_auth *auth)
{
    const char *where = auth->key_file ? auth->key_file : auth->key_env;

    if (auth->key_size > 0 && auth->key_size <= KEY_MAX)
        return 0;
    if (auth->key_size == 0)
        fprintf(stderr, "switchboard client: the key in %s is empty\n", where);
    else
        fprintf(stderr, "switchboard client: the key in %s is too long: a key has at most %d bytes\n", where, KEY_MAX);
    return 1;
}

/* --- the answer --------------------------------------------------------------------------------------------------- */

/* libcrypto does not always tell that memory was missing; then it lacks what every libcrypto has. */
static bool is_out_of_memory(const struct client_auth *auth)
{
    EVP_MD *usual = EVP_MD_fetch(NULL, CLIENT_AUTH_DIGEST, NULL);
    bool lacks = !usual || EVP_MD_is_a(usual, auth->digest);
    unsigned long error;

    EVP_MD_free(usual);
    while ((error = ERR_get_error()) != 0)
        lacks |= ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE;
    return lacks;
}

/* Returns its length, -EINVAL: libcrypto has no such digest, or none that an HMAC can be made of; or -ENOMEM. Without
 * its global context it would crash. */
static ssize_t make_hmac(const struct client_auth *auth, const unsigned char *challenge, unsigned char *hmac)
{
    size_t size;

    if (!OSSL_LIB_CTX_get0_global_default())
        return -ENOMEM;
    if (EVP_Q_mac(NULL, "HMAC", NULL, auth->digest, NULL, auth->key, auth->key_size, challenge, CHALLENGE_SIZE,
                  hmac, EVP_MAX_MD_SIZE, &size))
        return (ssize_t)size;
    return is_out_of_memory(auth) ? -ENOMEM : -EINVAL;
}

static int hmac_failed(const struct client_auth *auth, ssize_t error)
{
    if (error == -ENOMEM)
        fprintf(stderr, "switchboard client: cannot make the HMAC: %s\n", strerror(ENOMEM));
    else
        fprintf(stderr, "switchboard client: --auth-digest=%s is no digest that libcrypto can make an HMAC of: "
                "take sha256 or md5, for instance\n", auth->digest);
    return error == -ENOMEM ? 1 : 2;
}

/* Returns 1 with all of it, 0 at an early end, or -errno; ret_received is set in any case. */
static int receive_challenge(int fd, unsigned char *challenge, uint64_t end_ns, size_t *ret_received)
{
    struct pollfd polled = { .fd = fd, .events = POLLIN };

    for (size_t received = 0; received < CHALLENGE_SIZE; *ret_received = received) {
        int ready = poll(&polled, 1, clock_left_ms(end_ns));
        if (ready == 0)
            return -ETIMEDOUT;
        ssize_t size = ready < 0 ? -1 : recv(fd, challenge + received, CHALLENGE_SIZE - received, MSG_DONTWAIT);
        if (size < 0 && errno != EINTR && errno != EAGAIN)
            return -errno;
        if (size == 0)
            return 0;
        received += size > 0 ? (size_t)size : 0;
    }
    return 1;
}

static void challenge_failed(const char *name, int error, size_t received, int timeout_ms)
{
    if (error == -ETIMEDOUT)
        fprintf(stderr, "switchboard client: %s sent %zu of the %d bytes of its challenge within %g s: perhaps it asks "
                "for no key; --timeout=SECONDS waits longer\n", name, received, CHALLENGE_SIZE, timeout_ms / 1000.0);
    else if (error == 0)
        fprintf(stderr, "switchboard client: %s closed the connection after %zu of the %d bytes of its challenge\n",
                name, received, CHALLENGE_SIZE);
    else
        fprintf(stderr, "switchboard client: %s broke off before its challenge was there: %s\n", name,
                strerror(-error));
}

int client_auth_answer(const struct client_auth *auth, int fd, const char *name, int timeout_ms)
{
    unsigned char challenge[CHALLENGE_SIZE], hmac[EVP_MAX_MD_SIZE];
    size_t received = 0;
    int r = receive_challenge(fd, challenge, clock_in_ms((unsigned)timeout_ms), &received);

    if (r <= 0) {
        challenge_failed(name, r, received, timeout_ms);
        return 1;
    }
    ssize_t size = make_hmac(auth, challenge, hmac);
    if (size < 0)
        return hmac_failed(auth, size);
    /* It is the first that is sent, so there is room for it. */
    if (send(fd, hmac, (size_t)size, MSG_NOSIGNAL) < 0) {
        fprintf(stderr, "switchboard client: cannot answer the challenge of %s: %s\n", name, strerror(errno));
        return 1;
    }
    return 0;
}

/* --- the whole ---------------------------------------------------------------------------------------------------- */

int client_auth_open(struct client_auth *auth)
{
    unsigned char challenge[CHALLENGE_SIZE] = "", hmac[EVP_MAX_MD_SIZE];
    int status = auth->key_file ? read_key_file(auth) : read_key_env(auth);

    if (status == 0)
        status = check_key(auth);
    ssize_t size = status == 0 ? make_hmac(auth, challenge, hmac) : 0;
    return size < 0 ? hmac_failed(auth, size) : status;
}

void client_auth_close(struct client_auth *auth)
{
    OPENSSL_cleanse(auth->key, sizeof auth->key);
}
