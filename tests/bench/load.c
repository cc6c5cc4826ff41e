/* A closed-loop load generator for `upper`: every client waits for its answer before it asks again. One thread, epoll.
 *
 *     load [-w] MODE CLIENTS COUNT PORT
 *
 *     short      each request on a connection of its own
 *     talk       CLIENTS connections share COUNT requests out among them
 *     udp        the same with datagrams
 *     idle       like talk, COUNT may be 0; then the connections stay, until standard input ends or SIGTERM comes
 *
 * Prints one line: requests=, errors= (no answer, or a wrong one), seconds=, p50_us= and p99_us= of the answered.
 * Exit status 0, 1 if a request failed or nothing moved for ten seconds, 2 misuse.
 *
 * -w: waits. Connects its clients (not for short), lets each ask once (talk and udp), prints `ready`, and begins when a
 * line comes on standard input; its connections stay as for idle. So what is measured between is requests and nothing
 * else.
 *
 * A client ends its side first, and when the server has heard so, the kernel resets the connection (TCP_LINGER2 below
 * zero): the server sees an orderly end of input, and no port stays in TIME_WAIT to slow the next run down. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGE_SIZE = 64, MAX_CLIENTS = 20000, MAX_COUNT = 100000000, STALL_MS = 120000 };

enum mode { SHORT, TALK, UDP, IDLE };

struct client {
    int fd;             /* -1: not connected */
    long left;          /* but for short: requests of its share not yet finished */
    size_t received;    /* bytes of the answer */
    uint64_t start_ns;
    char question[MESSAGE_SIZE], answer[MESSAGE_SIZE], expected[MESSAGE_SIZE];
};

static const char *const mode_names[] = { "short", "talk", "udp", "idle" };

static struct client clients[MAX_CLIENTS];
static long n_clients;
static struct sockaddr_in server;
static int epoll_fd;
static enum mode mode;
static bool waits, stays;
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
    close(client->fd);
    client->fd = -1;
}

static bool call(struct client *client)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = client };
    client->fd = socket(AF_INET, (mode == UDP ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    if (mode != UDP)
        setsockopt(client->fd, IPPROTO_TCP, TCP_LINGER2, &(int){ -1 }, sizeof(int));
    return client->fd >= 0 && connect(client->fd, (struct sockaddr *)&server, sizeof(server)) == 0 &&
           epoll_ctl(epoll_fd, EPOLL_CTL_ADD, client->fd, &event) == 0;
}

static bool ask(struct client *client)
{
    client->received = 0;
    if (mode != SHORT)
        client->start_ns = now_ns();
    return send(client->fd, client->question, MESSAGE_SIZE, MSG_NOSIGNAL) == MESSAGE_SIZE;
}

static void fail(struct client *client)
{
    errors += mode == SHORT ? 1 : client->left;
    client->left = 0;
    if (client->fd >= 0)
        hang_up(client);
}

/* The client's next request, on a new connection where it has none; one that cannot be asked is an error. */
static void next(struct client *client)
{
    while (mode == SHORT ? started < count : client->left > 0) {
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
    if (mode == SHORT || (--client->left == 0 && !stays))
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

/* Until all have been answered. */
static int exchange(long requests)
{
    struct epoll_event events[64];
    count = requests;
    started = answered = errors = 0;
    for (long i = 0; i < n_clients; i++)
        clients[i].left = count / n_clients + (i < count % n_clients);
    for (long i = 0; i < n_clients; i++)
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

static int connect_all(void)
{
    for (long i = 0; i < n_clients; i++) {
        if (!call(&clients[i])) {
            fprintf(stderr, "load: cannot connect client %ld: %s\n", i, strerror(errno));
            return 1;
        }
    }
    return 0;
}

/* Returns at the end of a line, of the input, or at SIGTERM. */
static bool line_came(void)
{
    char byte = 0;
    while (byte != '\n' && read(STDIN_FILENO, &byte, 1) == 1)
        ;
    return byte == '\n';
}

static int wait_for_word(void)
{
    if (mode == TALK || mode == UDP) {
        int status = exchange(n_clients);
        if (status != 0)
            return status;
    }
    puts("ready");
    fflush(stdout);
    return line_came() ? 0 : 1;
}

static void stay(void)
{
    while (line_came())
        ;
    for (long i = 0; i < n_clients; i++)
        if (clients[i].fd >= 0)
            hang_up(&clients[i]);
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

static int report(int status, double seconds)
{
    qsort(latencies_ns, (size_t)answered, sizeof(*latencies_ns), by_size);
    printf("requests=%ld errors=%ld seconds=%.3f p50_us=%.1f p99_us=%.1f\n", answered, errors, seconds,
           percentile_us(50), percentile_us(99));
    fflush(stdout);
    return status;
}

static int run(long requests)
{
    int status = mode != SHORT && (waits || mode == IDLE) ? connect_all() : 0;
    if (status == 0 && waits)
        status = wait_for_word();
    if (status != 0)
        return status;
    uint64_t start_ns = now_ns();
    status = exchange(requests);
    return report(status, (double)(now_ns() - start_ns) / 1e9);
}

static void ignore(int signal)
{
    (void)signal;
}

static int prepare(long requests)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (stays)  /* without SA_RESTART, so that it ends a read */
        sigaction(SIGTERM, &(struct sigaction){ .sa_handler = ignore }, NULL);
    for (long i = 0; i < n_clients; i++) {
        clients[i].fd = -1;
        write_messages(&clients[i], i);
    }
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    latencies_ns = calloc((size_t)(requests > n_clients ? requests : n_clients), sizeof(*latencies_ns));
    return epoll_fd < 0 || latencies_ns == NULL ? -errno : 0;
}

/* -1: it is not one. */
static long number(const char *text, long min, long max)
{
    char *end;
    long value = strtol(text, &end, 10);
    return end != text && *end == '\0' && value >= min && value <= max ? value : -1;
}

static bool find_mode(const char *name)
{
    for (mode = SHORT; mode <= IDLE; mode++)
        if (strcmp(name, mode_names[mode]) == 0)
            return true;
    return false;
}

static int misuse(void)
{
    fprintf(stderr, "load: usage: load [-w] short|talk|udp|idle CLIENTS COUNT PORT, with at most %d clients and %d "
            "requests\n", MAX_CLIENTS, MAX_COUNT);
    return 2;
}

int main(int argc, char **argv)
{
    waits = argc == 6 && strcmp(argv[1], "-w") == 0;
    argv += waits;
    if (argc - waits != 5 || !find_mode(argv[1]))
        return misuse();
    stays = waits || mode == IDLE;
    n_clients = number(argv[2], 1, MAX_CLIENTS);
    long requests = number(argv[3], mode == IDLE ? 0 : 1, MAX_COUNT), port = number(argv[4], 1, 65535);
    if (n_clients < 0 || requests < 0 || port < 0)
        return misuse();
    server = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int r = prepare(requests);
    if (r < 0) {
        fprintf(stderr, "load: cannot start: %s\n", strerror(-r));
        return 1;
    }
    int status = run(requests);
    if (stays && status == 0)
        stay();
    free(latencies_ns);
    return status;
}
