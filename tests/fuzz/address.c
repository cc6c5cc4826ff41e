/* address.h under any text. An input is a character, which scheme a text without one has ('0' NULL, '1' tcp, '2' udp,
 * '3' unix, '4' unixgram, '5' one that does not exist, '6' tcp6, '7' udp4), and the text. */
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <switchboard/address.h>

#include "fuzz.h"

static const char *const schemes[] = { NULL, "tcp", "udp", "unix", "unixgram", "http", "tcp6", "udp4" };

/* Stands in front of the C library's: a fuzzer invents names by the thousand, and to resolve them would be slow, and a
 * nuisance to name servers. Numbers are read as ever; "later" and "memory" fail in their own way; no other name is
 * known. */
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **ret_found)
{
    static int (*numeric)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    struct addrinfo numbers = *hints;
    numbers.ai_flags |= AI_NUMERICHOST;
    if (strcmp(host, "later") == 0)
        return EAI_AGAIN;
    if (strcmp(host, "memory") == 0)
        return EAI_MEMORY;
    if (!numeric)
        *(void **)&numeric = dlsym(RTLD_NEXT, "getaddrinfo");
    return numeric(host, service, &numbers, ret_found);
}

static void check_refused(int error, const struct sb_address *address, const char *why)
{
    struct sb_address untouched;
    memset(&untouched, 'x', sizeof untouched);
    REQUIRE(error == -EINVAL || error == -ENAMETOOLONG || error == -ENOENT || error == -EAGAIN || error == -ENOMEM);
    REQUIRE(memcmp(address, &untouched, sizeof untouched) == 0);
    REQUIRE(why && why[0]);
}

/* unix(7): a path ends with a NUL that counts, an abstract name begins with one and has no end but the size. */
static void check_path(const struct sockaddr_un *address, socklen_t size)
{
    socklen_t length = size - offsetof(struct sockaddr_un, sun_path);
    const char *path = address->sun_path;
    REQUIRE(length >= 1 && length <= sizeof address->sun_path);
    REQUIRE(path[0] ? memchr(path, '\0', length) == path + length - 1 : !memchr(path + 1, '\0', length - 1));
}

static void check_members(const struct sb_address *address, const char *text)
{
    const char *colon = strrchr(text, ':');
    switch (address->sa.sa_family) {
    case AF_UNIX:
        check_path(&address->un, address->size);
        break;
    case AF_INET:
        REQUIRE(address->size == sizeof address->in && colon && ntohs(address->in.sin_port) == atol(colon + 1));
        break;
    default:
        REQUIRE(address->sa.sa_family == AF_INET6 && address->size == sizeof address->in6);
        REQUIRE(colon && ntohs(address->in6.sin6_port) == atol(colon + 1));
    }
}

/* The memory is just as large as a caller has to make it. */
static char *format(char *(*form)(const struct sb_address *, char *), const struct sb_address *address)
{
    char *text = malloc(SB_ADDRESS_TEXT_SIZE);
    REQUIRE(text);
    memset(text, 'x', SB_ADDRESS_TEXT_SIZE);
    REQUIRE(form(address, text) == text);
    REQUIRE(memchr(text, '\0', SB_ADDRESS_TEXT_SIZE));
    return text;
}

static void check_text(const struct sb_address *address)
{
    struct sb_address again;
    char *text = format(sb_address_format, address), *peer = format(sb_address_format_peer, address);
    const char *scheme = sb_address_scheme(address);
    memset(&again, 'x', sizeof again);
    REQUIRE(sb_address_parse(text, NULL, &again, NULL) == 0);
    REQUIRE(memcmp(&again, address, sizeof again) == 0);
    size_t length = strlen(scheme);
    REQUIRE(strncmp(text, scheme, length) == 0 && text[length + (text[length] == '6')] == ':');
    REQUIRE(strcmp(text + strlen(text) - strlen(peer), peer) == 0);
    free(text);
    free(peer);
}

static void check(const char *text, const char *scheme)
{
    struct sb_address address;
    const char *why = NULL;
    memset(&address, 'x', sizeof address);
    int r = sb_address_parse(text, scheme, &address, &why);
    if (r < 0) {
        check_refused(r, &address, why);
    } else {
        REQUIRE(r == 0 && !why);
        check_members(&address, text);
        check_text(&address);
    }
    REQUIRE(sb_address_parse(text, scheme, &address, NULL) == r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    char *text = strndup((const char *)data + 1, size - 1);
    REQUIRE(text);
    check(text, schemes[(uint8_t)(data[0] - '0') % (sizeof schemes / sizeof *schemes)]);
    free(text);
    return 0;
}
