/* auth: lets a caller through to the handler behind it, as in auth+upper, when it has the same key: 32 random bytes go
 * out, HMAC(key, those bytes) must come back. That guards the door and no more: what follows is neither encrypted nor
 * signed. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <switchboard/switchboard.h>

enum { NONCE_SIZE = 32, KEY_SIZE_MAX = 4096 };

struct options {
    const char *key_file, *key_env, *digest;
    long timeout_s;

    unsigned char key[KEY_SIZE_MAX];    /* these are configure's */
    size_t key_size, answer_size;
};

static const struct sb_option option_table[] = {
    { .name = "key-file", .type = SB_OPTION_STRING, .offset = offsetof(struct options, key_file),
      .help = "the file with the key; a newline at its end is not part of it" },
    { .name = "key-env", .type = SB_OPTION_STRING, .offset = offsetof(struct options, key_env),
      .help = "the environment variable with the key" },
    { .name = "digest", .type = SB_OPTION_STRING, .offset = offsetof(struct options, digest),
      .value = "sha256", .help = "of the HMAC: sha256, md5 for old clients, or another that libcrypto knows" },
    { .name = "timeout", .type = SB_OPTION_LONG, .offset = offsetof(struct options, timeout_s),
      .value = "10", .min = 1, .max = 3600, .help = "seconds for the whole handshake" },
    { .name = NULL },
};

/* --- the key ------------------------------------------------------------------------------------------------------ */

static int set_key(struct sb_server *server, struct options *options, const char *key, size_t size, const char *source)
{
    if (size == 0) {
        sb_server_log(server, SB_LOG_ERROR, "auth: the key in %s is empty: put a secret there, such as the output of "
                      "'head -c 32 /dev/urandom | base64'", source);
        return -EKEYREJECTED;
    }
    if (size > KEY_SIZE_MAX) {
        sb_server_log(server, SB_LOG_ERROR, "auth: the key in %s is too long: use one of at most %d bytes", source,
                      KEY_SIZE_MAX);
        return -EKEYREJECTED;
    }
    memcpy(options->key, key, size);
    options->key_size = size;
    return 0;
}

/* Up to size bytes of the file, as many as there are. */
static ssize_t read_file(struct sb_server *server, const char *path, char *buffer, size_t size)
{
    struct stat status = { .st_mode = 0 };
    size_t length = 0;
    ssize_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && length < size && (n = read(fd, buffer + length, size - length)) > 0)
        length += n;
    int error = fd < 0 || n < 0 || fstat(fd, &status) < 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    if (error != 0)
        sb_server_log(server, SB_LOG_ERROR, "auth: cannot read the key file %s: %s; name a readable one with key-file",
                      path, strerror(error));
    else if (status.st_mode & (S_IROTH | S_IWOTH))
        sb_server_log(server, SB_LOG_WARNING, "auth: the key file %s is open to every user of this machine: "
                      "chmod o-rw it", path);
    return error != 0 ? -error : (ssize_t)length;
}

static int load_file(struct sb_server *server, struct options *options)
{
    char text[KEY_SIZE_MAX + 2];    /* the newline, and one byte to see that it is too long */
    ssize_t size = read_file(server, options->key_file, text, sizeof text);
    int r = size;
    if (size >= 0) {
        size -= size > 0 && text[size - 1] == '\n';
        r = set_key(server, options, text, size, options->key_file);
    }
    OPENSSL_cleanse(text, sizeof text);
    return r;
}

static int load_variable(struct sb_server *server, struct options *options)
{
    const char *value = getenv(options->key_env);
    if (value)
        return set_key(server, options, value, strlen(value), options->key_env);
    sb_server_log(server, SB_LOG_ERROR, "auth: the environment variable %s is not set: set it to the key, or use "
                  "key-file", options->key_env);
    return -ENOKEY;
}

static int load_key(struct sb_server *server, struct options *options)
{
    if (!options->key_file == !options->key_env) {
        sb_server_log(server, SB_LOG_ERROR, options->key_file
                      ? "auth: the options key-file and key-env name two keys: give one of them"
                      : "auth: there is no key: give -o key-file=PATH or -o key-env=NAME");
        return -EINVAL;
    }
    return options->key_file ? load_file(server, options) : load_variable(server, options);
}

/* --- the answer --------------------------------------------------------------------------------------------------- */

/* Returns its size, 0 when libcrypto has no such HMAC. */
static size_t right_answer(const struct options *options, const unsigned char nonce[NONCE_SIZE],
                           unsigned char answer[EVP_MAX_MD_SIZE])
{
    size_t size;
    /* Without its global context, for want of memory, libcrypto would crash. */
    if (OSSL_LIB_CTX_get0_global_default() &&
        EVP_Q_mac(NULL, "HMAC", NULL, options->digest, NULL, options->key, options->key_size, nonce, NONCE_SIZE,
                  answer, EVP_MAX_MD_SIZE, &size))
        return size;
    ERR_clear_error();
    return 0;
}

/* Without memory libcrypto lacks what every libcrypto has. */
static bool lacks_memory(const struct options *options)
{
    EVP_MD *usual = OSSL_LIB_CTX_get0_global_default() ? EVP_MD_fetch(NULL, "sha256", NULL) : NULL;
    bool lacks = !usual || EVP_MD_is_a(usual, options->digest);
    EVP_MD_free(usual);
    ERR_clear_error();
    return lacks;
}

static int configure(struct sb_server *server, void *block)
{
    static const unsigned char nonce[NONCE_SIZE];
    struct options *options = block;
    unsigned char answer[EVP_MAX_MD_SIZE];
    int r = load_key(server, options);
    if (r < 0)
        return r;
    options->answer_size = right_answer(options, nonce, answer);
    if (options->answer_size > 0)
        return 0;
    OPENSSL_cleanse(options->key, sizeof options->key);
    if (lacks_memory(options)) {
        sb_server_log(server, SB_LOG_ERROR, "auth: cannot make an HMAC: %s", strerror(ENOMEM));
        return -ENOMEM;
    }
    sb_server_log(server, SB_LOG_ERROR, "auth: libcrypto makes no HMAC with the digest '%s': use sha256, or one that "
                  "'openssl list -digest-algorithms' shows", options->digest);
    return -EINVAL;
}

static void release(void *block)
{
    struct options *options = block;
    OPENSSL_cleanse(options->key, sizeof options->key);
}

/* --- the handshake ------------------------------------------------------------------------------------------------ */

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

/* Not a byte more: what follows belongs to the handler behind. */
static int recv_answer(struct sb_request *request, const struct options *options, unsigned char *answer)
{
    int64_t deadline_ms = now_ms() + options->timeout_s * 1000;
    size_t size = options->answer_size, length = 0;
    while (length < size) {
        int64_t left_ms = deadline_ms - now_ms();
        int r = left_ms > 0 ? sb_settimeout(request, left_ms) : -ETIMEDOUT;
        ssize_t n = r < 0 ? r : sb_recv(request, answer + length, size - length);
        if (n == -ETIMEDOUT)
            return sb_fail(request, -EACCES, "not authenticated: %zu of %zu bytes of the HMAC came within %ld s",
                           length, size, options->timeout_s);
        if (n == 0)
            return sb_fail(request, -EACCES, "not authenticated: the caller ended after %zu of %zu bytes of the HMAC",
                           length, size);
        if (n < 0)
            return n;
        length += n;
    }
    return 0;
}

static int challenge(struct sb_request *request, const struct options *options)
{
    unsigned char nonce[NONCE_SIZE], answer[EVP_MAX_MD_SIZE], right[EVP_MAX_MD_SIZE];
    if (getrandom(nonce, sizeof nonce, 0) != sizeof nonce)
        return -errno;
    int r = sb_sendall(request, nonce, sizeof nonce);
    sb_conceal(request, true);      /* beside the challenge, it would let a reader of the log try keys */
    if (r == 0)
        r = recv_answer(request, options, answer);
    sb_conceal(request, false);
    if (r < 0)
        return r;
    size_t size = right_answer(options, nonce, right);
    if (size != options->answer_size)
        return -ENOMEM;
    bool same = CRYPTO_memcmp(answer, right, size) == 0;
    OPENSSL_cleanse(right, sizeof right);
    return same ? 0 : sb_fail(request, -EACCES, "not authenticated: the caller's HMAC is wrong, by its key or digest");
}

static int setup(struct sb_request *request)
{
    int timeout_ms = sb_gettimeout(request);
    int r = challenge(request, sb_options(request, &sb_handler));
    if (r == 0)
        r = sb_settimeout(request, timeout_ms);
    if (r < 0)
        return r;
    sb_log(request, "authenticated");
    return sb_super_setup(request, &sb_handler);
}

SB_HANDLER(.name = "auth", .summary = "lets through who has the key, as in auth+upper (HMAC of a random challenge)",
           .traits = SB_STREAM_ONLY | SB_AUTHENTICATES, .options_size = sizeof(struct options),
           .options = option_table, .configure = configure, .release = release, .setup = setup);
