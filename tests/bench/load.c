/* A closed-loop load generator for `upper`: every client waits for its answer before it asks again. One thread, epoll.
 *
 *     load short CLIENTS COUNT PORT      each request on a connection of its own
 *     load talk CLIENTS COUNT PORT       CLIENTS connections share COUNT requests out among them
 *
 * Prints one line: requests=, errors= (no answer, or a wrong one), seconds=, p50_us= and p99_us= of the answered.
 * Exit status 0, 1 if a request failed or nothing moved for ten seconds, 2 misuse.
 *
 * A client ends its side first and then closes with a reset: the server sees an orderly end of input, and no port stays
 * in TIME_WAIT to slow the next run down. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGE_SIZE = 64, MAX_CLIENTS = 1000, MAX_COUNT = 100000000, STALL_MS = 10000 };

struct client {
    int fd;             /* -1: not connected */
    long left;          /* talk: requests of its share not yet finished */
    size_t received;    /* bytes of the answer */
    uint64_t start_ns;
    char question[MESSAGE_SIZE], answer[MESSAGE_SIZE], expected[MESSAGE_SIZE];
};

static struct client clients[MAX_CLIENTS];
static struct sockaddr_in server;
static int epoll_fd;
static bool talk;
static long count;                          /* requests wanted */
static long started, answered, errors;      /* started: short only */
static uint32_t *latencies_ns;              /* one for each of the answered */

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void write_messages(struct client *client, long number)
{
    char text[MESSAGE_SIZE + 1];
    snprintf(text, sizeof(text), "Client %8ld asks: ABCDEFGHIJKLM nopqrstuvwxyz {}@` 0123456\n", number);
    memcpy(client->question, text, MESSAGE_SIZE);
    for (int i = 0; i < MESSAGE_SIZE; i++)
        client->expected[i] = text[i] >= 'a' && text[i] <= 'z' ? (char)(text[i] - 'a' + 'A') : text[i];
}

static void hang_up(struct client *client)
{
    struct linger reset = { .l_onoff = 1, .l_linger = 0 };
    shutdown(client->fd, SHUT_WR);
    setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(client->fd);
    client->fd = -1;
}

static bool call(struct client *client)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = client };
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return client->fd >= 0 && connect(client->fd, (struct sockaddr *)&server, sizeof(server)) == 0 &&
           epoll_ctl(epoll_fd, EPOLL_CTL_ADD, client->fd, &event) == 0;
}

static bool ask(struct client *client)
{
    client->received = 0;
    if (talk)
        client->start_ns = now_ns();
    return send(client->fd, client->question, MESSAGE_SIZE, MSG_NOSIGNAL) == MESSAGE_SIZE;
}

static void fail(struct client *client)
{
    errors += talk ? client->left : 1;
    client->left = 0;
    if (client->fd >= 0)
        hang_up(client);
}

/* The client's next request, on a new connection where it has none; one that cannot be asked is an error. */
static void next(struct client *client)
{
    while (talk ? client->left > 0 : started < count) {
        if (client->fd < 0) {
            started++;
            client->start_ns = now_ns();
            if (!call(client)) {
                fail(client);
                continue;
            }
        }
        if (ask(client))
            return;
        fail(client);
    }
}

static void finish(struct client *client)
{
    uint64_t latency_ns = now_ns() - client->start_ns;
    latencies_ns[answered++] = latency_ns < UINT32_MAX ? (uint32_t)latency_ns : UINT32_MAX;
    if (!talk || --client->left == 0)
        hang_up(client);
    next(client);
}

static void hear(struct client *client)
{
    ssize_t n = recv(client->fd, client->answer + client->received, MESSAGE_SIZE - client->received, 0);
    if (n > 0)
        client->received += (size_t)n;
    if (n > 0 && client->received < MESSAGE_SIZE)
        return;
    if (n > 0 && memcmp(client->answer, client->expected, MESSAGE_SIZE) == 0) {
        finish(client);
    } else {
        fail(client);
        next(client);
    }
}

static int run(long client_count)
{
    struct epoll_event events[64];
    for (long i = 0; i < client_count; i++) {
        clients[i].fd = -1;
        clients[i].left = count / client_count + (i < count % client_count);
        write_messages(&clients[i], i);
    }
    for (long i = 0; i < client_count; i++)
        next(&clients[i]);
    while (answered + errors < count) {
        int n = epoll_wait(epoll_fd, events, 64, STALL_MS);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            fprintf(stderr, "load: no answer for %d ms, %ld of %ld requests answered\n", STALL_MS, answered, count);
            return 1;
        }
        for (int i = 0; i < n; i++)
            hear(events[i].data.ptr);
    }
    return errors > 0;
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double percentile_us(int percent)
{
    return answered > 0 ? latencies_ns[(answered - 1) * percent / 100] / 1e3 : 0;
}

static long number(const char *text, long max)
{
    char *end;
    long value = strtol(text, &end, 10);
    return *end == '\0' && value >= 1 && value <= max ? value : 0;
}

static int misuse(void)
{
    fprintf(stderr, "load: usage: load short|talk CLIENTS COUNT PORT, with at most %d clients and %d requests\n",
            MAX_CLIENTS, MAX_COUNT);
    return 2;
}

int main(int argc, char **argv)
{
    if (argc != 5 || (strcmp(argv[1], "short") != 0 && strcmp(argv[1], "talk") != 0))
        return misuse();
    talk = strcmp(argv[1], "talk") == 0;
    long client_count = number(argv[2], MAX_CLIENTS), port = number(argv[4], 65535);
    count = number(argv[3], MAX_COUNT);
    if (client_count == 0 || count == 0 || port == 0)
        return misuse();
    server = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    latencies_ns = calloc((size_t)count, sizeof(*latencies_ns));
    if (epoll_fd < 0 || latencies_ns == NULL) {
        fprintf(stderr, "load: cannot start: %s\n", strerror(errno));
        return 1;
    }
    uint64_t start_ns = now_ns();
    int status = run(client_count);
    double seconds = (double)(now_ns() - start_ns) / 1e9;
    qsort(latencies_ns, (size_t)answered, sizeof(*latencies_ns), by_size);
    printf("requests=%ld errors=%ld seconds=%.3f p50_us=%.1f p99_us=%.1f\n", answered, errors, seconds,
           percentile_us(50), percentile_us(99));
    free(latencies_ns);
    return status;
}
