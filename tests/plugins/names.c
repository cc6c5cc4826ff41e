/* Not a plugin but a library to preload, or a part of a test: getaddrinfo(3) knows the names in NAMES,
 * "both=::1,127.0.0.1 six=::1,::2", and only then the system's. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* In one block, as the C library's freeaddrinfo(3) wants it. */
static struct addrinfo *new_found(const struct addrinfo *hints, const char *text)
{
    struct { struct addrinfo found; struct sockaddr_in6 address; } *block = calloc(1, sizeof *block);
    if (!block)
        return NULL;
    struct sockaddr_in *in = (struct sockaddr_in *)&block->address;
    bool is_v6 = inet_pton(AF_INET6, text, &block->address.sin6_addr) == 1;
    if (!is_v6)
        inet_pton(AF_INET, text, &in->sin_addr);
    block->address.sin6_family = is_v6 ? AF_INET6 : AF_INET;
    block->found = (struct addrinfo){ .ai_family = block->address.sin6_family, .ai_socktype = hints->ai_socktype,
                                      .ai_addr = (struct sockaddr *)&block->address,
                                      .ai_addrlen = is_v6 ? sizeof block->address : sizeof *in };
    return &block->found;
}

static int find(char *addresses, const struct addrinfo *hints, struct addrinfo **ret_found)
{
    struct addrinfo *first = NULL, **last = &first;
    for (char *text; (text = strsep(&addresses, ",")) != NULL;) {
        struct addrinfo *found = new_found(hints, text);
        bool wanted = found && (hints->ai_family == AF_UNSPEC || hints->ai_family == found->ai_family);
        if (!wanted) {
            free(found);
            continue;
        }
        *last = found;
        last = &found->ai_next;
    }
    *ret_found = first;
    return first ? 0 : EAI_ADDRFAMILY;
}

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **ret_found)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        dlsym(RTLD_NEXT, "getaddrinfo");
    const char *names = getenv("NAMES");
    char *copy = strdup(names ? names : ""), *rest = copy;
    for (char *name; rest && (name = strsep(&rest, " ")) != NULL;) {
        char *addresses = strchr(name, '=');
        if (!addresses || strncmp(name, host, addresses - name) != 0 || host[addresses - name] != '\0')
            continue;
        int r = find(addresses + 1, hints, ret_found);
        free(copy);
        return r;
    }
    free(copy);
    return real(host, service, hints, ret_found);
}
