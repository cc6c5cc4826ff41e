#include "scenario.h"

#include <string.h>
#include "verdict.h"

#define SPEED_METRICS { THROUGHPUT, CPU_US, P50_US, P99_US, ERRORS, PSS_KB, SWITCHES, SYSCALLS }

const struct scenario scenarios[] = {
    {
        .name = "short", .title = "Short connections",
        .lesson = "Every request comes on a connection of its own, so what a strategy does to begin one (nothing, wake "
                  "a worker, start a thread, fork a process) is what tells them apart.",
        .family = "tcp", .clients = 16,
        .need = { ENDED, 20, "requests" },
        .primary = THROUGHPUT, .shown = SPEED_METRICS,
        .conclude = conclude_by_speed,
    },
    {
        .name = "talk", .title = "Long talks",
        .lesson = "Callers stay and talk on: starting costs nothing any more, but a strategy with a fixed crew serves "
                  "only as many callers as it has workers, and the others wait for them to leave.",
        .family = "tcp", .clients = 50, .talk = true, .in_vain = true,
        .need = { ENDED, 0, "requests" },
        .primary = THROUGHPUT,
        .shown = { THROUGHPUT, UNANSWERED, FAIRNESS, CPU_US, P50_US, P99_US, SWITCHES, SYSCALLS },
        .conclude = conclude_held_up,
    },
    {
        .name = "udp", .title = "Datagrams",
        .lesson = "A datagram has no connection to keep a worker for: the simplest strategy is hard to beat, and a "
                  "thread or a process for each datagram costs many times the answer.",
        .family = "udp", .clients = 16, .talk = true,
        .need = { ENDED, 20, "requests" },
        .primary = THROUGHPUT, .shown = SPEED_METRICS,
        .conclude = conclude_by_speed,
    },
    {
        .name = "slow", .title = "Slow callers",
        .lesson = "As many callers as there are workers send a byte now and then and never finish: they hold a fixed "
                  "crew for ever (head-of-line blocking), where each caller has a worker of its own "
                  "nobody else notices them.",
        .family = "tcp", .clients = 16, .slow_crew = true, .in_vain = true,
        .need = { ENDED, 0, "requests" },
        .primary = THROUGHPUT,
        .shown = { THROUGHPUT, ANSWERS, UNANSWERED, P50_US, P99_US, PROCESSES, THREADS, METRICS },
        .conclude = conclude_held_up,
    },
    {
        .name = "wait", .title = "Handlers that wait",
        .lesson = "Each request sleeps for 50 ms, as if it asked a database: the processor is idle, and who has more "
                  "sleepers at a time serves more.",
        .family = "tcp", .handler = "sleep", .clients = 100, .cut = true,
        .expects = LOAD_TEXT, .question = "50\n", .answer = "slept 50 ms\n",
        .need = { ENDED, 10, "requests" },
        .primary = THROUGHPUT, .shown = { THROUGHPUT, UNANSWERED, P50_US, P99_US, PROCESSES, THREADS, PSS_KB, METRICS },
        .conclude = conclude_waiting,
    },
    {
        .name = "spin", .title = "Handlers that compute",
        .lesson = "Each request burns a millisecond of processor time: more workers than processors bring nothing, and "
                  "strategies with one thread leave all processors but one idle.",
        .family = "tcp", .handler = "spin", .clients = 8, .all_cpus = true,
        .expects = LOAD_TEXT, .question = "1000\n", .answer = "spun 1000 us\n",
        .need = { ENDED, 20, "requests" },
        .primary = THROUGHPUT, .shown = { THROUGHPUT, P50_US, P99_US, PROCESSES, THREADS, CPU_US, SWITCHES, METRICS },
        .conclude = conclude_spinning,
    },
    {
        .name = "idle", .title = "Idle connections",
        .lesson = "Callers say one thing and stay: what a connection costs that does nothing is the memory of whoever "
                  "waits for it, and how many fit is how many can wait.",
        .family = "tcp", .clients = 1000, .talk = true, .requests_each = 1, .in_vain = true, .stays = true,
        .need = { ENDED, 20, "callers" },
        .primary = CONNECTION_KB, .shown = { CONNECTION_KB, ANSWERS, UNANSWERED, PSS_KB, PROCESSES, THREADS, METRICS },
        .conclude = conclude_memory,
    },
    {
        .name = "burst", .title = "All at once",
        .lesson = "All callers ring in the same moment, and the backlog has places for 64: who is not accepted in time "
                  "has its call lost and tries again a second later, and the last one waits longest.",
        .family = "tcp", .clients = 256, .requests_each = 1, .arguments = { "--backlog=64" },
        .need = { ANSWERED, 0, "answers" },
        .primary = MAX_US, .shown = { MAX_US, P50_US, P99_US, CALLED_AGAIN, ANSWERS, ERRORS, METRICS },
        .conclude = conclude_burst,
    },
    {
        .name = "crash", .title = "Crashes",
        .lesson = "One request in a hundred kills its handler: a thread takes the whole server with it, a process only "
                  "itself and whom it serves.",
        .family = "tcp", .handler = "crash", .clients = 8, .requests_each = 125, .poisoned = true,
        .expects = LOAD_CAPITALS,
        .need = { KILLED, 5, "killed handlers" },
        .primary = LOST_EACH, .shown = { LOST_EACH, POISONED, ANSWERS, REFUSED, CUT_OFF, OUTAGE_MS, MAX_US, METRICS },
        .conclude = conclude_crashes,
    },
    {
        .name = "shared", .title = "A counter in memory",
        .lesson = "The handler counts its visitors in memory: threads share it and count them all, a forked process "
                  "counts in a copy of its own that is lost with it.",
        .family = "tcp", .handler = "visits", .clients = 8, .requests_each = 50, .arguments = { "--force" },
        .expects = LOAD_NUMBER, .question = "hello\n",
        .need = { ANSWERED, 0, "answers" },
        .primary = LARGEST, .shown = { LARGEST, ANSWERS, PROCESSES, THREADS, ERRORS, METRICS },
        .conclude = conclude_counting,
    },
    {
        .name = "big", .title = "Large answers",
        .lesson = "Each answer has a million bytes: what is left to compare is the copying, and with it the strategies "
                  "come close together.",
        .family = "tcp", .handler = "bytes", .clients = 4,
        .expects = LOAD_TEXT, .question = "1000000\n", .answer_size = 1000000,
        .need = { ENDED, 20, "requests" },
        .primary = THROUGHPUT, .shown = SPEED_METRICS,
        .conclude = conclude_by_speed,
    },
    {
        .name = "herd", .title = "The thundering herd",
        .lesson = "One caller after the other meets workers that all wait: how many of them wake up for each "
                  "connection depends on how they share the listener.",
        .family = "tcp", .clients = 1,
        .strategies = "prefork:N,prefork:N@mutex,prefork:N@flock,prefork:N@pass,prefork:N@reuseport,"
                      "prethread:N,prethread:N@mutex,prethread:N@flock,prethread:N@pass,prethread:N@reuseport",
        .need = { ENDED, 100, "connections" },
        .primary = VOLUNTARY, .shown = { VOLUNTARY, SWITCHES, CPU_US, THROUGHPUT, P50_US, P99_US, SYSCALLS, METRICS },
        .conclude = conclude_wakeups,
    },
    {
        .name = "unp", .title = "UNIX Network Programming, chapter 30",
        .lesson = "Five clients make 500 connections each and fetch 4000 bytes on every one: the processor time of a "
                  "design less that of the iterative server is what its process control costs.",
        .family = "tcp", .handler = "bytes", .clients = 5, .workers = 15, .requests_each = 500,
        .expects = LOAD_TEXT, .question = "4000\n", .answer_size = 4000,
        .need = { ANSWERED, 0, "answers" },
        .strategies = "serial,fork,prefork:N,prefork:N@flock,prefork:N@mutex,prefork:N@pass,thread,prethread:N,"
                      "prethread:N@mutex,prethread:N@pass,pool:N,fiber",
        .primary = CONTROL_CPU_S,
        .shown = { CONTROL_CPU_S, TOTAL_CPU_S, CPU_US, P99_US, ERRORS, SWITCHES, SYSCALLS, METRICS },
        .conclude = conclude_control,
    },
};

const unsigned n_scenarios = sizeof scenarios / sizeof *scenarios;

const struct scenario *scenario_find(const char *name)
{
    for (unsigned i = 0; i < n_scenarios; i++)
        if (strcmp(scenarios[i].name, name) == 0)
            return &scenarios[i];
    return NULL;
}
