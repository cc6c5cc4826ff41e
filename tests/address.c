#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <switchboard/address.h>

TestSuite(address, .timeout = 600);

/* Stands in front of the C library's: what the names of these tests have. */
static const char *const names[][6] = {
    { "both.test", "::1", "127.0.0.1" },
    { "six.test", "::1", "::2", "::3", "127.0.0.1" },
    { "four.test", "127.0.0.1", "127.0.0.2", "::1" },
    { "twice.test", "127.0.0.1", "::ffff:127.0.0.1", "127.0.0.1" },
    { "any.test", "::", "0.0.0.0" },
};

static struct addrinfo *append(const struct addrinfo *hints, const char *text, struct addrinfo *before)
{
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
    struct sockaddr_in in = { .sin_family = AF_INET };
    bool is_v6 = inet_pton(AF_INET6, text, &in6.sin6_addr) == 1;
    if (!is_v6)
        cr_assert_eq(inet_pton(AF_INET, text, &in.sin_addr), 1);
    if (hints->ai_family != AF_UNSPEC && hints->ai_family != (is_v6 ? AF_INET6 : AF_INET))
        return before;
    struct addrinfo *found = calloc(1, sizeof *found + sizeof in6);
    *found = (struct addrinfo){ .ai_family = is_v6 ? AF_INET6 : AF_INET, .ai_socktype = hints->ai_socktype,
                                .ai_addr = (struct sockaddr *)(found + 1), .ai_next = before,
                                .ai_addrlen = is_v6 ? sizeof in6 : sizeof in };
    memcpy(found->ai_addr, is_v6 ? (void *)&in6 : (void *)&in, found->ai_addrlen);
    return found;
}

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **ret_found)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i][0], host) != 0)
            continue;
        *ret_found = NULL;
        for (int n = 5; n > 0; n--)
            if (names[i][n])
                *ret_found = append(hints, names[i][n], *ret_found);
        return *ret_found ? 0 : EAI_ADDRFAMILY;
    }
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    return real(host, service, hints, ret_found);
}

void freeaddrinfo(struct addrinfo *found)
{
    void (*real)(struct addrinfo *);
    bool ours = (void *)found->ai_addr == (void *)(found + 1) && !found->ai_canonname && !found->ai_flags;
    *(void **)&real = dlsym(RTLD_NEXT, "freeaddrinfo");
    for (struct addrinfo *next; ours && found; found = next) {
        next = found->ai_next;
        free(found);
    }
    if (!ours)
        real(found);
}

static void expect_same(const char *text, const char *formatted)
{
    struct sb_address address;
    char written[SB_ADDRESS_TEXT_SIZE];
    cr_assert_eq(sb_address_parse(text, NULL, &address, NULL), 0, "%s", text);
    cr_expect_str_eq(sb_address_format(&address, written), formatted);
}

Test(address, reads_what_it_writes)
{
    expect_same("tcp://127.0.0.1:80", "tcp://127.0.0.1:80");
    expect_same("127.0.0.1:80", "tcp://127.0.0.1:80");
    expect_same("udp://127.0.0.1:65535", "udp://127.0.0.1:65535");
    expect_same("udp://[::1]:0", "udp://[::1]:0");
    expect_same("tcp://:8081", "tcp://[::]:8081");
    expect_same("tcp6://[::]:80", "tcp6://[::]:80");
    expect_same("udp6://:80", "udp6://[::]:80");
    expect_same("udp4://:80", "udp://0.0.0.0:80");
    expect_same("tcp6://[::1]:80", "tcp://[::1]:80");
    expect_same("tcp4://127.0.0.1:80", "tcp://127.0.0.1:80");
    expect_same("tcp://[::ffff:127.0.0.1]:80", "tcp://127.0.0.1:80");
    expect_same("unix:/tmp/x", "unix:/tmp/x");
    expect_same("unix:relative", "unix:relative");
    expect_same("unixgram:@abstract", "unixgram:@abstract");
}

Test(address, the_scheme_of_a_type_stands_in_for_a_missing_one)
{
    struct sb_address address;
    cr_assert_eq(sb_address_parse("127.0.0.1:53", "udp", &address, NULL), 0);
    cr_expect_eq(address.socktype, SOCK_DGRAM);
    cr_assert_eq(sb_address_parse("/tmp/x", "unixgram", &address, NULL), 0);
    cr_expect_str_eq(sb_address_scheme(&address), "unixgram");
}

static void expect_refused(const char *text, int error, const char *reason)
{
    struct sb_address address;
    const char *why = "";
    memset(&address, 'x', sizeof address);
    struct sb_address untouched = address;
    cr_expect_eq(sb_address_parse(text, NULL, &address, &why), error, "%s", text);
    cr_expect_not_null(strstr(why, reason), "%s: '%s'", text, why);
    cr_expect_eq(memcmp(&address, &untouched, sizeof address), 0, "%s: touched on failure", text);
}

Test(address, says_what_is_wrong)
{
    expect_refused("tcp://127.0.0.1:70000", -EINVAL, "at most 65535");
    expect_refused("tcp://127.0.0.1:-1", -EINVAL, "a number");
    expect_refused("tcp://127.0.0.1:", -EINVAL, "a number");
    expect_refused("tcp://127.0.0.1:99999999999999999999", -EINVAL, "at most 65535");
    expect_refused("tcp://127.0.0.1:80x", -EINVAL, "a number");
    expect_refused("127.0.0.1", -EINVAL, "must be HOST:PORT");
    expect_refused("::1:80", -EINVAL, "brackets");
    expect_refused("[::1:80", -EINVAL, "not closed");
    expect_refused("[::1]80", -EINVAL, "must be HOST:PORT");
    expect_refused("http://127.0.0.1:80", -EINVAL, "scheme");
    expect_refused("tcp6://127.0.0.1:80", -ENOENT, "no address of that version");
    expect_refused("udp4://[::1]:80", -ENOENT, "no address of that version");
    expect_refused("tcp6://[::ffff:127.0.0.1]:80", -ENOENT, "no address of that version");
    expect_refused("unix:", -EINVAL, "path is missing");
}

static void expect_list(const char *text, const char *expected)
{
    struct sb_address *list = NULL;
    unsigned count = 0;
    char written[SB_ADDRESS_TEXT_SIZE], all[1024] = "";
    cr_assert_eq(sb_address_resolve(text, NULL, &list, &count, NULL), 0, "%s", text);
    for (unsigned i = 0; i < count; i++) {
        strcat(all, i > 0 ? " " : "");
        strcat(all, sb_address_format(&list[i], written));
    }
    cr_expect_str_eq(all, expected);
    cr_assert_eq(sb_address_parse(text, NULL, list, NULL), 0);
    sb_address_format(list, written);
    cr_expect(strncmp(all, written, strlen(written)) == 0, "the first of %s is not %s", all, written);
    free(list);
}

Test(address, a_name_is_all_of_its_addresses_and_families_take_turns)
{
    expect_list("tcp://both.test:80", "tcp://[::1]:80 tcp://127.0.0.1:80");
    expect_list("udp://both.test:80", "udp://[::1]:80 udp://127.0.0.1:80");
    expect_list("six.test:80", "tcp://[::1]:80 tcp://127.0.0.1:80 tcp://[::2]:80 tcp://[::3]:80");
    expect_list("four.test:80", "tcp://127.0.0.1:80 tcp://[::1]:80 tcp://127.0.0.2:80");
    expect_list("tcp://twice.test:80", "tcp://127.0.0.1:80");
    expect_list("tcp://127.0.0.1:80", "tcp://127.0.0.1:80");
    expect_list("unix:/tmp/x", "unix:/tmp/x");
}

Test(address, one_version_of_ip_can_be_asked_for)
{
    expect_list("tcp4://six.test:80", "tcp://127.0.0.1:80");
    expect_list("udp6://six.test:80", "udp://[::1]:80 udp://[::2]:80 udp://[::3]:80");
    expect_refused("tcp6://twice.test:80", -ENOENT, "no address of that version");
}

Test(address, an_ipv6_wildcard_leaves_ipv4_to_those_beside_it)
{
    expect_list("tcp://any.test:80", "tcp6://[::]:80 tcp://0.0.0.0:80");
    expect_list("tcp://[::]:80", "tcp://[::]:80");
}

static void expect_mapping(const char *text, const char *mapped, const char *unmapped)
{
    struct sb_address address;
    char written[SB_ADDRESS_TEXT_SIZE];
    cr_assert_eq(sb_address_parse(text, NULL, &address, NULL), 0);
    sb_address_map(&address);
    cr_expect_str_eq(sb_address_format_peer(&address, written), mapped);
    sb_address_unmap(&address);
    cr_expect_str_eq(sb_address_format_peer(&address, written), unmapped);
}

Test(address, ipv4_is_mapped_to_ipv6_and_back)
{
    expect_mapping("127.0.0.1:80", "[::ffff:127.0.0.1]:80", "127.0.0.1:80");
    expect_mapping("[::1]:80", "[::1]:80", "[::1]:80");
    expect_mapping("unix:@x", "@x", "@x");
}

Test(address, a_name_is_unknown_or_nobody_answers_for_names)
{
    struct sb_address address;
    const char *why = "";
    int r = sb_address_parse("tcp://no.such.host.invalid:80", NULL, &address, &why);
    cr_expect(r == -ENOENT || r == -EAGAIN, "%d", r);
    cr_expect_not_null(strstr(why, r == -ENOENT ? "does not resolve" : "does not answer"), "%s", why);
}

Test(address, a_path_has_at_most_107_bytes)
{
    char text[160] = "unix:";
    memset(text + 5, 'p', 108);
    expect_refused(text, -ENAMETOOLONG, "107");
    text[5 + 107] = '\0';
    expect_same(text, text);
}

Test(address, a_peer_without_an_address_has_a_name_all_the_same)
{
    struct sb_address address = { .socktype = SOCK_STREAM };
    char text[SB_ADDRESS_TEXT_SIZE];
    cr_expect_str_eq(sb_address_format_peer(&address, text), "unix peer");
    address.un.sun_family = AF_UNIX;
    address.size = sizeof(sa_family_t);
    cr_expect_str_eq(sb_address_format_peer(&address, text), "unix peer");
    cr_expect_str_eq(sb_address_format(&address, text), "unix:");
}
