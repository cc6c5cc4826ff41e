#include "metrics.h"

const struct metric_info metric_infos[METRICS] = {
    [THROUGHPUT] = { "throughput", "Throughput", "requests/s", "requests/s", 1, 0, "right answers each second" },
    [CPU_US] = { "cpu_us", "Processor time", "CPU µs\n/req", "µs/request", -1, 1,
                 "processor time of the server for each request, user and system, all its processes together" },
    [USER_US] = { "user_us", "User time", "user µs\n/req", "µs/request", -1, 1,
                  "processor time for each request that the server itself used (an estimate on many kernels)" },
    [SYSTEM_US] = { "system_us", "System time", "system\nµs/req", "µs/request", -1, 1,
                    "processor time for each request that the kernel used for it (an estimate on many kernels)" },
    [SWITCHES] = { "switches", "Context switches", "switches\n/req", "1/request", -1, 2,
                   "context switches for each request, voluntary or not" },
    [VOLUNTARY] = { "voluntary", "Voluntary switches", "voluntary\n/req", "1/request", -1, 2,
                    "how often for each request somebody went to sleep and had to be woken" },
    [SYSCALLS] = { "syscalls", "System calls", "calls\n/req", "1/request", -1, 1, "system calls for each request" },
    [PSS_KB] = { "pss_kb", "Memory", "memory\nKB", "KB", -1, 0,
                 "peak memory of all processes together; pages that they share count once" },
    [CONNECTION_KB] = { "connection_kb", "Memory of a connection", "KB per\nconnection", "KB", -1, 1,
                        "memory that each connection has added which stays" },
    [PROCESSES] = { "processes", "Processes", "processes", "", 0, 0, "processes of the server, most at a time" },
    [THREADS] = { "threads", "Threads", "threads", "", 0, 0, "threads in all processes, most at a time" },
    [P50_US] = { "p50_us", "Median latency", "p50\nµs", "µs", -1, 0, "half of the answers came within this time" },
    [P90_US] = { "p90_us", "90 % latency", "p90\nµs", "µs", -1, 0, "90 % of the answers came within this time" },
    [P99_US] = { "p99_us", "99 % latency", "p99\nµs", "µs", -1, 0, "99 % of the answers came within this time" },
    [P99_9_US] = { "p99_9_us", "99.9 % latency", "p99.9\nµs", "µs", -1, 0,
                   "99.9 % of the answers came within this time" },
    [MAX_US] = { "max_us", "Longest latency", "longest\nµs", "µs", -1, 0, "all answers came within this time" },
    [ANSWERS] = { "answers", "Answers", "answers", "", 1, 0, "requests that were answered rightly" },
    [ERRORS] = { "errors", "Errors", "errors", "", -1, 0,
                 "requests without their answer: refused, cut off, wrong or unanswered" },
    [REFUSED] = { "refused", "Refused", "refused", "", -1, 0, "requests that got no connection" },
    [CUT_OFF] = { "cut_off", "Cut off", "cut off", "", -1, 0, "connections that ended before the whole answer" },
    [WRONG] = { "wrong", "Wrong", "wrong", "", -1, 0, "answers other than expected" },
    [UNANSWERED] = { "unanswered", "Unanswered", "unanswered", "", -1, 0,
                     "requests that waited for an answer until the caller gave up" },
    [POISONED] = { "poisoned", "Poisoned", "poisoned", "", 0, 0, "requests that were meant to kill" },
    [LOST_EACH] = { "lost_each", "Lost beside", "lost per\npoison", "requests", -1, 2,
                    "requests lost besides, for each one that was meant to kill" },
    [OUTAGE_MS] = { "outage_ms", "Outage", "outage\nms", "ms", -1, 0, "the longest time without service" },
    [CALLED_AGAIN] = { "called_again", "Called again", "called\nagain", "", -1, 0,
                       "callers for whom the backlog had no place at first" },
    [FAIRNESS] = { "fairness", "Fairness", "fairness", "", 1, 3,
                   "Jain's index of the answers of each caller: 1 when all got as many, 1/n when one got all" },
    [LARGEST] = { "largest", "Largest number", "largest\nnumber", "", 1, 0,
                  "the largest number that a caller was told" },
    [TOTAL_CPU_S] = { "total_cpu_s", "Total processor time", "total\nCPU s", "s", -1, 3,
                      "processor time of the server's whole life" },
    [CONTROL_CPU_S] = { "control_cpu_s", "Process control", "control\nCPU s", "s", -1, 3,
                        "processor time of the server's whole life, less that of the iterative server" },
};

bool metric_is_count(enum metric metric)
{
    return metric == PROCESSES || metric == THREADS || metric == CALLED_AGAIN ||
           (metric >= ANSWERS && metric <= POISONED);
}

bool metric_is_fault(enum metric metric)
{
    return metric >= ERRORS && metric <= UNANSWERED;
}
