#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <switchboard/switchboard.h>
#include <unistd.h>

TestSuite(scoreboard, .timeout = 30);

static enum sb_state seen_state;
static char seen_peer[28];

/* Looks at its own server from outside, while it handles. */
static int handle(struct sb_request *request)
{
    const struct sb_scoreboard *board;
    char byte;
    sb_recv(request, &byte, 1);
    int r = sb_scoreboard_open(getpid(), &board);
    if (r < 0)
        return r;
    for (unsigned i = 0; i < board->slot_count; i++) {
        const struct sb_slot *slot = sb_scoreboard_slot(board, i);
        if (slot->state != SB_FREE) {
            seen_state = slot->state;
            memcpy(seen_peer, slot->peer, sizeof seen_peer);
        }
    }
    sb_scoreboard_close(board);
    return byte == 'e' ? -EIO : 0;
}

static void quiet(void *data, enum sb_log_level level, const char *text)
{
    (void)data;
    (void)level;
    (void)text;
}

static void call(struct sb_server *server, char byte)
{
    struct sb_address address;
    cr_assert_eq(sb_address_parse(sb_server_address(server, 0), NULL, &address, NULL), 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(connect(fd, &address.sa, address.size), 0);
    cr_assert_eq(send(fd, &byte, 1, 0), 1);
    cr_assert_eq(sb_server_handle_request(server), 1);
    close(fd);
}

Test(scoreboard, is_readable_from_outside_and_counts)
{
    static const struct sb_handler handler = { .name = "looker", .handle = handle };
    struct sb_config config = SB_CONFIG_DEFAULTS;
    struct sb_server *server;
    config.log = quiet;
    cr_assert_eq(sb_server_create(sb_tcp_server, "127.0.0.1:0", SB_HANDLERS(&handler), &config, &server), 0);
    call(server, 'a');
    cr_expect_eq(seen_state, SB_HANDLING);
    cr_expect_eq(((struct sockaddr *)seen_peer)->sa_family, AF_INET);
    call(server, 'e');
    struct sb_totals totals = sb_scoreboard_totals(sb_server_scoreboard(server));
    cr_expect_eq(totals.served, 2);
    cr_expect_eq(totals.errors, 1);
    cr_expect_eq(totals.workers, 0);
    cr_expect_str_eq(sb_server_scoreboard(server)->handler, "looker");
    cr_expect_str_eq(sb_server_scoreboard(server)->strategy, "serial");
    sb_server_destroy(server);
}

Test(scoreboard, of_a_process_without_a_server_is_not_found)
{
    const struct sb_scoreboard *board = NULL;
    cr_expect_eq(sb_scoreboard_open(getppid(), &board), -ENOENT);
    cr_expect_eq(sb_scoreboard_open(0x7fffffff, &board), -ENOENT);
    cr_expect_null(board);
    sb_scoreboard_close(NULL);
}

Test(scoreboard, every_state_has_a_name)
{
    cr_expect_str_eq(sb_state_name(SB_FREE), "free");
    cr_expect_str_eq(sb_state_name(SB_DEAD), "dead");
    cr_expect_str_eq(sb_state_name(77), "unknown");
}
