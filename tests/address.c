#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <switchboard/address.h>
#include <unistd.h>

/* names.c */
static void know_names(void)
{
    setenv("NAMES", "both.test=::1,127.0.0.1 six.test=::1,::2,::3,127.0.0.1 four.test=127.0.0.1,127.0.0.2,::1 "
           "twice.test=127.0.0.1,::ffff:127.0.0.1,127.0.0.1 any.test=::,0.0.0.0", 1);
}

TestSuite(address, .timeout = 600, .init = know_names);

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
    address.size = 0;
    address.owner = (struct sb_address_owner){ .family = AF_UNIX, .known = true, .pid = 4711, .uid = 1000 };
    cr_expect_str_eq(sb_address_format_peer(&address, text), "pid 4711 uid 1000");
    cr_expect_str_eq(sb_address_format(&address, text), "unix:");
    address.owner.pid = 0;
    cr_expect_str_eq(sb_address_format_peer(&address, text), "uid 1000");
    address.owner.known = false;
    cr_expect_str_eq(sb_address_format_peer(&address, text), "unix peer");
}

/* --- calling ------------------------------------------------------------------------------------------------------ */

/* A listener at 127.0.0.1, and its port. */
static int listen_somewhere(int backlog, unsigned *ret_port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, size), 0);
    cr_assert_eq(listen(fd, backlog), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static unsigned resolve(const char *host, unsigned port, struct sb_address **ret_list)
{
    char text[64];
    unsigned count;
    snprintf(text, sizeof text, "tcp://%s:%u", host, port);
    cr_assert_eq(sb_address_resolve(text, NULL, ret_list, &count, NULL), 0);
    return count;
}

/* The next descriptor to be opened: the same when nothing is left open. */
static int next_descriptor(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(fd);
    return fd;
}

Test(address, a_call_goes_to_the_first_address_where_somebody_is)
{
    struct sb_address *list;
    unsigned port, which = 9, count;
    int listener = listen_somewhere(1, &port), next = next_descriptor();
    count = resolve("six.test", port, &list);
    int fd = sb_address_connect(list, count, -1, NULL, NULL, &which);
    cr_assert_geq(fd, 0, "%s", strerror(-fd));
    cr_expect_eq(which, 1);
    cr_expect_neq(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    cr_expect_neq(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    close(fd);
    close(listener);
    which = 9;
    list[2].sa.sa_family = AF_MAX;
    cr_expect_eq(sb_address_connect(list, 3, -1, NULL, NULL, &which), -ECONNREFUSED, "rather than that there is no way");
    cr_expect_eq(sb_address_connect(list, 0, -1, NULL, NULL, &which), -EINVAL);
    cr_expect_eq(sb_address_connect(list, SB_ADDRESS_COUNT_MAX + 1, -1, NULL, NULL, &which), -EINVAL);
    cr_expect_eq(which, 9, "touched on failure");
    cr_expect_eq(next_descriptor(), listener < next ? listener : next, "a descriptor is left");
    free(list);
}

static int give_up(void *data, int fd, short events, int timeout_ms)
{
    ++*(int *)data;
    cr_expect(fd >= 0 && events != 0 && timeout_ms != 0);
    return -ECANCELED;
}

Test(address, who_waits_for_a_call_may_end_it)
{
    struct sb_address *list;
    unsigned port, which;
    int waits = 0, listener = listen_somewhere(0, &port), callers[3], next;
    resolve("127.0.0.1", port, &list);
    for (int i = 0; i < 3; i++) {
        callers[i] = sb_address_socket(list);
        connect(callers[i], &list->sa, list->size);
    }
    next = next_descriptor();
    cr_expect_eq(sb_address_connect(list, 1, -1, give_up, &waits, &which), -ECANCELED);
    cr_expect_eq(waits, 1);
    cr_expect_eq(sb_address_connect(list, 1, 20, NULL, NULL, &which), -ETIMEDOUT);
    cr_expect_eq(next_descriptor(), next, "a descriptor is left");
    for (int i = 0; i < 3; i++)
        close(callers[i]);
    close(listener);
    free(list);
}
