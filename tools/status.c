#include "commands.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <switchboard/switchboard.h>

#include "arguments.h"
#include "clock.h"

static double seconds_since(uint64_t since_ns)
{
    uint64_t now_ns = clock_ns();
    return now_ns > since_ns ? (double)(now_ns - since_ns) / 1e9 : 0;
}

/* A socket's path may hold anything: no byte of it may move the cursor. */
static void make_harmless(char *text)
{
    for (; *text; text++) {
        unsigned char byte = text[0], next = text[1];
        if (byte < ' ' || byte == 127)
            text[0] = '.';
        if (byte == 0xc2 && next >= 0x80 && next < 0xa0)
            text[0] = text[1] = '.';
    }
}

static void append_user(const struct sb_address *address, char *text)
{
    size_t length = strlen(text);
    bool known = address->size == 0 && address->sa.sa_family == AF_UNIX && address->owner.known;
    const struct passwd *user = known ? getpwuid(address->owner.uid) : NULL;
    if (user)
        snprintf(text + length, SB_ADDRESS_TEXT_SIZE - length, " (%s)", user->pw_name);
}

static const char *format_peer(const struct sb_slot *slot, char *text)
{
    struct sb_address address;
    if (!sb_slot_peer(slot, &address))
        return "-";
    sb_address_format_peer(&address, text);
    append_user(&address, text);
    make_harmless(text);
    return text;
}

static void print_slot(const struct sb_slot *slot)
{
    char peer[SB_ADDRESS_TEXT_SIZE];
    printf("%6u  %7d  %-9s %9.1f  %8llu  %6llu  %s\n", slot->worker, slot->tid ? slot->tid : slot->pid,
           sb_state_name(slot->state), seconds_since(slot->since_ns), (unsigned long long)slot->served,
           (unsigned long long)slot->errors, format_peer(slot, peer));
}

static void print_board(const struct sb_scoreboard *board)
{
    struct sb_totals totals = sb_scoreboard_totals(board);
    printf("handler=%s strategy=%s pid=%d up=%.0fs served=%llu errors=%llu left=%llu truncated=%llu workers=%u busy=%u "
           "held_up=%llu\n",
           board->handler, board->strategy, board->pid, seconds_since(board->started_ns),
           (unsigned long long)totals.served, (unsigned long long)totals.errors,
           (unsigned long long)totals.left, (unsigned long long)totals.truncated, totals.workers, totals.busy,
           (unsigned long long)totals.held_up);
    printf("%6s  %7s  %-9s %9s  %8s  %6s  %s\n", "worker", "pid/tid", "state", "seconds", "served", "errors", "peer");
    for (unsigned i = 0; i < board->slot_count; i++)
        if (sb_scoreboard_slot(board, i)->state != SB_FREE)
            print_slot(sb_scoreboard_slot(board, i));
}

static const char *explain(int error)
{
    switch (error) {
    case -ENOENT:
        return "no switchboard server has that pid; 'serve' prints it in its listening line";
    case -EACCES:
        return "it belongs to another user";
    case -EPROTO:
        return "it is a server of another version of switchboard";
    default:
        return strerror(-error);
    }
}

int status_main(int argc, char **argv)
{
    long long pid;
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        printf("Usage: switchboard status PID\nShows what each worker of a running server does.\n");
        return 0;
    }
    if (argc != 2 || !argument_is_whole(argv[1], 1, INT_MAX, &pid)) {
        fprintf(stderr, "switchboard status: give the pid of a server, as its listening line shows it\n");
        return 2;
    }
    const struct sb_scoreboard *board;
    int r = sb_scoreboard_open((pid_t)pid, &board);
    if (r < 0) {
        fprintf(stderr, "switchboard status: cannot read the scoreboard of %lld: %s\n", pid, explain(r));
        return 1;
    }
    print_board(board);
    sb_scoreboard_close(board);
    return 0;
}
