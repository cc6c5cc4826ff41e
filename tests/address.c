#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <switchboard/address.h>

TestSuite(address, .timeout = 600);

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
    expect_refused("unix:", -EINVAL, "path is missing");
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
