#include "commands.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <switchboard/switchboard.h>

#include "clock.h"
#include "target.h"

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

static void print_summary(const struct sb_scoreboard *board, pid_t pid, uint64_t started_ns, struct sb_totals totals)
{
    printf("handler=%s strategy=%s pid=%d up=%.0fs served=%llu errors=%llu left=%llu truncated=%llu workers=%u busy=%u "
           "held_up=%llu",
           board->handler, board->strategy, (int)pid, seconds_since(started_ns), (unsigned long long)totals.served,
           (unsigned long long)totals.errors, (unsigned long long)totals.left, (unsigned long long)totals.truncated,
           totals.workers, totals.busy, (unsigned long long)totals.held_up);
}

static void print_slots(const struct sb_scoreboard *board)
{
    for (unsigned i = 0; i < board->slot_count; i++)
        if (sb_scoreboard_slot(board, i)->state != SB_FREE)
            print_slot(sb_scoreboard_slot(board, i));
}

static void print_heading(void)
{
    printf("\n%6s  %7s  %-9s %9s  %8s  %6s  %s\n", "worker", "pid/tid", "state", "seconds", "served", "errors", "peer");
}

/* Of a server that cannot change. */
static int print_single(pid_t pid)
{
    const struct sb_scoreboard *board;
    int r = sb_scoreboard_open(pid, &board);
    if (r < 0)
        return r;
    print_summary(board, board->pid, board->started_ns, sb_scoreboard_totals(board));
    print_heading();
    print_slots(board);
    sb_scoreboard_close(board);
    return 0;
}

/* One that is not yet ready has no workers to show, and one that has ended meanwhile none any more. */
static void print_generation(const struct sb_ledger *ledger, const struct sb_ledger_entry *entry)
{
    const struct sb_scoreboard *board;
    printf("generation %u, pid %d, %s for %.1f s", entry->number, (int)entry->pid,
           sb_generation_state_name(entry->state), seconds_since(entry->since_ns));
    if (sb_ledger_open_board(ledger, entry, &board) < 0) {
        printf("\n");
        return;
    }
    printf(": handler=%s strategy=%s\n", board->handler, board->strategy);
    print_slots(board);
    sb_scoreboard_close(board);
}

/* First the one that serves, then those beside it. */
static int print_generations(const struct sb_ledger *ledger)
{
    const struct sb_scoreboard *board;
    const struct sb_ledger_entry *serving = sb_ledger_serving(ledger);
    int r = serving ? sb_ledger_open_board(ledger, serving, &board) : -EAGAIN;
    if (r < 0)
        return r;
    print_summary(board, ledger->pid, ledger->started_ns, sb_ledger_totals(ledger));
    printf(" generation=%u ended=%u", serving->number, ledger->ended);
    print_heading();
    print_slots(board);
    sb_scoreboard_close(board);
    for (unsigned i = 0; i < SB_GENERATIONS_MAX; i++)
        if (ledger->entries[i].state != SB_GENERATION_NONE && &ledger->entries[i] != serving)
            print_generation(ledger, &ledger->entries[i]);
    return 0;
}

/* What is there may have ended, or changed, since it was found. */
static int print_server(const char *target)
{
    struct sb_ledger ledger;
    pid_t pid;
    int r = target_find(target, &ledger, &pid);
    if (r == -ENOENT && pid > 0)
        return print_single(pid);
    return r < 0 ? r : print_generations(&ledger);
}

static const char *explain(int error)
{
    switch (error) {
    case -ENOENT:
        return "there is no such switchboard server; 'serve' prints its pid in its listening line, and --name names it";
    case -EAGAIN:
        return "none of its generations serves at this moment";
    default:
        return target_explain(error);
    }
}

int status_main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        printf("Usage: switchboard status PID|NAME\nShows what each worker of a running server does.\n");
        return 0;
    }
    if (argc != 2 || argv[1][0] == '-' || argv[1][0] == '\0') {
        fprintf(stderr, "switchboard status: give the pid of a server, as its listening line shows it, or its name\n");
        return 2;
    }
    int r = print_server(argv[1]);
    if (r == 0)
        return 0;
    fprintf(stderr, "switchboard status: cannot read the scoreboard of %s: %s\n", argv[1], explain(r));
    return 1;
}
