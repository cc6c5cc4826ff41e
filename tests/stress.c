/* The library under load in one process, for the sanitizers: without Criterion, which does not start under
 * ThreadSanitizer.
 *
 *     stress threads      every design of designs.h that does not fork
 *     stress processes    those that do. Not under a sanitizer: the locks of its own allocator are left as another
 *                          thread held them when a worker was forked, and then that worker hangs
 *
 * Exit status 0, or 1 with a sentence: a promise that broke, or a scenario that did not end within its deadline. */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <switchboard/switchboard.h>
#include <time.h>
#include <unistd.h>

#include "designs.h"

enum { SCENARIO_S = 600, ANSWER_MS = 120000, LONG_MS = 600000, DRAIN_MS = 30 };
enum { MAX_CLIENTS = 8, VISITS = 12, RACERS = 3, RESTARTS = 20, SERVERS = 4, TRACE = 64 };

/* --- checks ------------------------------------------------------------------------------------------------------- */

static char scenario[128];

#define CHECK(condition, ...) ((condition) ? (void)0 : fail(__LINE__, __VA_ARGS__))

/* Takes forked workers along, which would outlive us: their server does not run in the main thread. */
__attribute__((noreturn)) static void give_up(void)
{
    signal(SIGTERM, SIG_IGN);
    kill(0, SIGTERM);
    _exit(1);
}

__attribute__((noreturn, format(printf, 2, 3))) static void fail(int line, const char *format, ...)
{
    va_list arguments;
    fprintf(stderr, "stress: line %d: %s: ", line, scenario);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    give_up();
}

static void on_alarm(int signo)
{
    (void)signo;
    const char *const words[] = { "stress: did not end in time: ", scenario, "\n" };
    for (int i = 0; i < 3; i++)
        if (write(STDERR_FILENO, words[i], strlen(words[i])) < 0)
            break;
    give_up();
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

static int count_entries(const char *path)
{
    int count = 0;
    DIR *folder = opendir(path);
    while (folder && readdir(folder))
        count++;
    if (folder)
        closedir(folder);
    return count;
}

/* --- the handler -------------------------------------------------------------------------------------------------- */

/* Shared with forked handlers. */
static struct {
    sem_t asleep;       /* posted by a handler that goes to sleep */
    sem_t awake;        /* ends one such sleep */
} *shared;

static void await(sem_t *semaphore, int count)
{
    while (count > 0)
        count -= sem_wait(semaphore) == 0;
}

static int obey(struct sb_request *request, char command)
{
    switch (command) {
    case 'z':
        sem_post(&shared->asleep);
        return sb_sleep(request, LONG_MS);
    case 'p':
        sem_post(&shared->asleep);
        await(&shared->awake, 1);
        return 0;
    case 's':
        return sb_sleep(request, 1);
    case 'q':
        sb_server_shutdown(sb_request_server(request));
        return 0;
    default:
        return 0;
    }
}

static int handle(struct sb_request *request)
{
    char text[64];
    ssize_t n, r = 0;
    while (r >= 0 && (n = sb_recv(request, text, sizeof text)) > 0) {
        r = obey(request, text[0]);
        for (ssize_t i = 0; i < n; i++)
            text[i] -= text[i] >= 'a' && text[i] <= 'z' ? 'a' - 'A' : 0;
        if (r >= 0)
            r = sb_sendall(request, text, n);
    }
    return r < 0 ? r : n;
}

static const struct sb_handler talk = {
    .abi_version = SB_ABI_VERSION, .struct_size = sizeof talk, .name = "talk", .handle = handle,
};

/* --- a server on its stage ---------------------------------------------------------------------------------------- */

struct variant {
    const char *name;
    bool tcp_only;              /* one listener, so that the loop may try it before it waits */
    int max_connections;
    bool daemon_threads, block_on_close;
};

static const struct variant plain = { "plain", false, 1000, false, true };

static const struct variant variants[] = {
    { "plain", false, 1000, false, true },
    { "tcp only", true, 1000, false, true },
    { "max_connections=1", false, 1, false, true },
    { "max_connections=2, tcp only", true, 2, false, true },
    { "daemon_threads", false, 1000, true, true },
    { "block_on_close=false", false, 1000, false, false },
};

struct stage {
    const struct design *design;
    struct sb_server *server;
    struct sb_address address[FAMILIES];
    int n_addresses;
    pthread_t thread;
    atomic_bool stopping;       /* from here on a caller may be turned away */
    int over_fd;                /* eventfd: from here on no answer will come */
    sem_t visited;              /* posted after each visit */
};

static void ignore_log(void *data, enum sb_log_level level, const char *text)
{
    (void)data, (void)level, (void)text;
}

static void listen_on(struct stage *stage, const struct sb_config *config, const char *family)
{
    char text[SB_ADDRESS_TEXT_SIZE];
    static int number;
    if (strncmp(family, "unix", 4) == 0)
        snprintf(text, sizeof text, "%s:@switchboard-stress-%d-%d", family, (int)getpid(), number++);
    else
        snprintf(text, sizeof text, "%s://127.0.0.1:0", family);
    int r = stage->server ? sb_server_listen(stage->server, text)
                          : sb_server_create(NULL, text, SB_HANDLERS(&talk), config, &stage->server);
    CHECK(r == 0, "cannot listen on %s: %s", text, strerror(-r));
    const char *bound = sb_server_address(stage->server, stage->n_addresses);
    CHECK(sb_address_parse(bound, NULL, &stage->address[stage->n_addresses++], NULL) == 0, "%s is no address", bound);
}

static void set_up(struct stage *stage, const struct design *design, const struct variant *variant, int drain_ms)
{
    struct sb_config config = SB_CONFIG_DEFAULTS;
    config.strategy = design->strategy;
    config.accept = sb_discipline_parse(design->accept);
    config.max_connections = variant->max_connections;
    config.daemon_threads = variant->daemon_threads;
    config.block_on_close = variant->block_on_close;
    config.drain_timeout_ms = drain_ms;
    config.log = ignore_log;
    config.trace = TRACE;
    *stage = (struct stage){ .design = design, .over_fd = eventfd(0, EFD_CLOEXEC) };
    sem_init(&stage->visited, 0, 0);
    for (int f = 0; f < (variant->tcp_only ? 1 : FAMILIES); f++)
        if (fits(design, families[f]))
            listen_on(stage, &config, families[f]);
}

/* Again and again, until it is really over: a stop may be meant for one serving only. */
static void *serve(void *argument)
{
    struct stage *stage = argument;
    int r;
    do
        r = sb_server_serve_forever(stage->server);
    while (r == 0 && !atomic_load(&stage->stopping));
    CHECK(r == 0, "serve_forever failed: %s", strerror(-r));
    return NULL;
}

static pthread_t start_thread(void *(*run)(void *), void *argument)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, run, argument) == 0, "cannot start a thread");
    return thread;
}

/* A stop that came late ends the next serving at once. Nobody shall call then: daemon threads would be left behind. */
static void use_up_stop(struct stage *stage)
{
    if (__atomic_load_n(&sb_server_scoreboard(stage->server)->stopping, __ATOMIC_ACQUIRE) == 0)
        return;
    int r = sb_server_serve_forever(stage->server);
    CHECK(r == 0, "serve_forever failed: %s", strerror(-r));
}

static void start(struct stage *stage)
{
    use_up_stop(stage);
    atomic_store(&stage->stopping, false);
    stage->thread = start_thread(serve, stage);
}

static void *stop_it(void *argument)
{
    struct stage *stage = argument;
    sb_server_stop(stage->server);
    return NULL;
}

static void *shut_it_down(void *argument)
{
    struct stage *stage = argument;
    sb_server_shutdown(stage->server);
    return NULL;
}

/* Two shutdowns and a stop, all at once. */
static void shut_down(struct stage *stage)
{
    void *(*const ways[RACERS])(void *) = { shut_it_down, stop_it, shut_it_down };
    pthread_t racers[RACERS];
    atomic_store(&stage->stopping, true);
    for (int i = 0; i < RACERS; i++)
        racers[i] = start_thread(ways[i], stage);
    for (int i = 0; i < RACERS; i++)
        pthread_join(racers[i], NULL);
    pthread_join(stage->thread, NULL);
}

static void tear_down(struct stage *stage)
{
    sb_server_destroy(stage->server);
    close(stage->over_fd);
    sem_destroy(&stage->visited);
}

/* --- callers ------------------------------------------------------------------------------------------------------ */

static int dial(const struct sb_address *address)
{
    int fd = socket(address->sa.sa_family, address->socktype | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0, "cannot make a socket: %s", strerror(errno));
    if (address->socktype == SOCK_DGRAM && address->sa.sa_family == AF_UNIX)
        bind(fd, &(struct sockaddr){ .sa_family = AF_UNIX }, sizeof(sa_family_t));
    if (connect(fd, &address->sa, address->size) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Hears an answer: 0, or an error when the server went away instead. */
static int hear(struct stage *stage, int fd, const char *answer)
{
    char heard[16];
    size_t size = strlen(answer), length = 0;
    struct pollfd fds[] = { { .fd = fd, .events = POLLIN }, { .fd = stage->over_fd, .events = POLLIN } };
    while (length < size) {
        int r = poll(fds, 2, ANSWER_MS);
        if (r <= 0 || fds[0].revents == 0)
            return r == 0 ? -ETIMEDOUT : -ECANCELED;
        ssize_t n = recv(fd, heard + length, size - length, 0);
        if (n <= 0)
            return n < 0 ? -errno : -ECONNRESET;
        length += n;
    }
    CHECK(memcmp(heard, answer, size) == 0, "heard '%.*s' for '%s'", (int)size, heard, answer);
    return 0;
}

static int exchange(struct stage *stage, int fd, const char *word, const char *answer)
{
    return send(fd, word, strlen(word), MSG_NOSIGNAL) < 0 ? -errno : hear(stage, fd, answer);
}

/* Forked handlers have inherited fd, so closing alone would not be heard. */
static void hang_up(int fd)
{
    struct linger reset = { .l_onoff = 1 };
    shutdown(fd, SHUT_RDWR);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
}

/* One visit, of a kind that its number chooses: a word, two words, or one whose answer it does not wait for. */
static int visit(struct stage *stage, const struct sb_address *address, int number)
{
    int fd = dial(address);
    if (fd < 0)
        return -errno;
    int r = exchange(stage, fd, number % 2 ? "hello" : "slow", number % 2 ? "HELLO" : "SLOW");
    bool is_stream = address->socktype == SOCK_STREAM;
    if (r == 0 && is_stream && number % 4 == 1)
        r = exchange(stage, fd, "again", "AGAIN");
    if (r == 0 && is_stream && number % 4 == 3 && send(fd, "bye", 3, MSG_NOSIGNAL) < 0)
        r = -errno;
    hang_up(fd);
    return r;
}

struct client {
    struct stage *stage;
    const struct sb_address *address;
    int visits;                 /* to pay; 0: until it is turned away */
    pthread_t thread;
};

static void *call(void *argument)
{
    struct client *client = argument;
    struct stage *stage = client->stage;
    char text[SB_ADDRESS_TEXT_SIZE];
    int r = 0;
    for (int i = 0; r == 0 && (client->visits == 0 || i < client->visits); i++) {
        r = visit(stage, client->address, i);
        sem_post(&stage->visited);
    }
    CHECK(r == 0 || (client->visits == 0 && atomic_load(&stage->stopping)), "turned away from %s: %s",
          sb_address_format(client->address, text), strerror(-r));
    return NULL;
}

static void start_clients(struct stage *stage, struct client *clients, int visits)
{
    for (int i = 0; i < MAX_CLIENTS; i++) {
        clients[i] = (struct client){ stage, &stage->address[i % stage->n_addresses], visits, 0 };
        clients[i].thread = start_thread(call, &clients[i]);
    }
}

static void join_clients(struct client *clients)
{
    for (int i = 0; i < MAX_CLIENTS; i++)
        pthread_join(clients[i].thread, NULL);
}

/* --- who follows the trace ---------------------------------------------------------------------------------------- */

struct follower {
    struct sb_trace_reader reader;
    uint64_t read;
    atomic_bool over;
    pthread_t thread;
};

static unsigned follow_some(struct follower *follower)
{
    struct sb_trace_event events[16];
    unsigned n = sb_trace_read(&follower->reader, events, 16);
    for (unsigned i = 0; i < n; i++)
        CHECK(events[i].slot < follower->reader.board->slot_count && events[i].state <= SB_ACCEPTED &&
              events[i].time_ns > 0, "an event is not whole");
    follower->read += n;
    return n;
}

static void *follow(void *argument)
{
    struct follower *follower = argument;
    while (!atomic_load(&follower->over))
        if (follow_some(follower) == 0)
            sched_yield();
    return NULL;
}

static void start_following(struct follower *follower, const struct stage *stage)
{
    *follower = (struct follower){ .reader = { .board = sb_server_scoreboard(stage->server) } };
    follower->thread = start_thread(follow, follower);
}

/* Daemon threads may still write some. */
static void end_following(struct follower *follower)
{
    atomic_store(&follower->over, true);
    pthread_join(follower->thread, NULL);
    uint64_t count = __atomic_load_n(&follower->reader.board->trace_count, __ATOMIC_ACQUIRE);
    while (follower->reader.next < count)
        follow_some(follower);
    CHECK(follower->read + follower->reader.missed == follower->reader.next, "%llu events read and %llu missed of %llu",
          (unsigned long long)follower->read, (unsigned long long)follower->reader.missed,
          (unsigned long long)follower->reader.next);
}

/* --- scenarios ---------------------------------------------------------------------------------------------------- */

static void serves_under_load_and_again(const struct design *design, const struct variant *variant)
{
    struct stage stage;
    struct client clients[MAX_CLIENTS];
    struct follower follower;
    set_up(&stage, design, variant, ANSWER_MS);
    start_following(&follower, &stage);
    for (int round = 0; round < 2; round++) {
        start(&stage);
        start_clients(&stage, clients, VISITS);
        join_clients(clients);
        shut_down(&stage);
    }
    end_following(&follower);
    sb_server_close(stage.server);
    CHECK(sb_server_fileno(stage.server) == -1, "the listener is open after close");
    sb_server_close(stage.server);
    tear_down(&stage);
}

static void is_destroyed_while_callers_knock(const struct design *design, const struct variant *variant)
{
    struct stage stage;
    struct client clients[MAX_CLIENTS];
    set_up(&stage, design, variant, DRAIN_MS);
    start(&stage);
    start_clients(&stage, clients, 0);
    await(&stage.visited, 2 * MAX_CLIENTS);
    shut_down(&stage);
    sb_server_destroy(stage.server);
    stage.server = NULL;
    eventfd_write(stage.over_fd, 1);
    join_clients(clients);
    tear_down(&stage);
}

/* Callers that are silent, and one whose handler sleeps; they fill the server, and do not go by themselves. */
static void hold(struct stage *stage, int *fds, int count)
{
    for (int i = 0; i < count; i++) {
        fds[i] = dial(&stage->address[0]);
        CHECK(fds[i] >= 0, "cannot connect: %s", strerror(errno));
        int r = i > 0 ? exchange(stage, fds[i], "wait", "WAIT") : 0;
        CHECK(r == 0, "no answer: %s", strerror(-r));
    }
    CHECK(send(fds[0], "z", 1, MSG_NOSIGNAL) == 1, "cannot send: %s", strerror(errno));
    await(&shared->asleep, 1);
}

static void release(int *fds, int count)
{
    for (int i = 0; i < count; i++)
        hang_up(fds[i]);
}

static void cuts_off_at_the_drain_deadline(const struct design *design)
{
    struct stage stage;
    int fds[2][3], count = design->at_once < 3 ? 1 : 3;
    set_up(&stage, design, &plain, DRAIN_MS);
    start(&stage);
    hold(&stage, fds[0], count);
    shut_down(&stage);
    release(fds[0], count);

    start(&stage);
    int r = visit(&stage, &stage.address[0], 0);
    CHECK(r == 0, "not served after a cut: %s", strerror(-r));
    hold(&stage, fds[1], count > 1 ? 2 : 1);
    shut_down(&stage);
    int64_t begin_ms = now_ms();
    sb_server_close(stage.server);
    CHECK(now_ms() - begin_ms < ANSWER_MS, "close took %d ms", (int)(now_ms() - begin_ms));
    release(fds[1], count > 1 ? 2 : 1);
    tear_down(&stage);
}

static void a_handler_ends_the_loop(const struct design *design)
{
    struct stage stage;
    set_up(&stage, design, &plain, ANSWER_MS);
    start(&stage);
    atomic_store(&stage.stopping, true);
    int fd = dial(&stage.address[0]);
    CHECK(fd >= 0, "cannot connect: %s", strerror(errno));
    CHECK(send(fd, "quit", 4, MSG_NOSIGNAL) == 4, "cannot send: %s", strerror(errno));
    shutdown(fd, SHUT_WR);
    pthread_join(stage.thread, NULL);
    close(fd);
    tear_down(&stage);
}

/* The loop that ends is awaited, not the one that another thread starts after it. */
static void shutdown_returns_although_it_serves_again(const struct design *design)
{
    struct stage stage;
    set_up(&stage, design, &plain, LONG_MS);
    start(&stage);
    for (int i = 0; i < RESTARTS; i++) {
        int r = visit(&stage, &stage.address[0], 1);
        CHECK(r == 0, "not served again: %s", strerror(-r));
        sb_server_shutdown(stage.server);
    }
    shut_down(&stage);
    tear_down(&stage);
}

static bool leaves_requests_to_others(const struct design *design)
{
    const char *last = strrchr(design->strategy, '+');
    last = last ? last + 1 : design->strategy;
    return !strstr(design->strategy, "prefork") && strchr("tpf", last[0]) && strncmp(last, "prethread", 9) != 0 &&
           strncmp(last, "fiber", 5) != 0;
}

static bool waits(const struct design *design, const struct variant *variant)
{
    return variant->block_on_close && (!variant->daemon_threads || strcmp(design->strategy, "fork") == 0);
}

/* Close does not wait, but who still handles a request has all that it needs to answer. The loop that ends is given
 * time: at the drain deadline a shutdown would cut them off. */
static void what_close_does_not_wait_for_answers_yet(const struct design *design, const struct variant *variant)
{
    struct stage stage;
    int fds[2];
    set_up(&stage, design, variant, ANSWER_MS);
    start(&stage);
    int count = stage.n_addresses < 2 ? stage.n_addresses : 2;
    for (int i = 0; i < count; i++) {
        fds[i] = dial(&stage.address[i]);
        CHECK(fds[i] >= 0 && send(fds[i], "pause", 5, MSG_NOSIGNAL) == 5, "cannot send: %s", strerror(errno));
    }
    await(&shared->asleep, count);
    shut_down(&stage);
    sb_server_destroy(stage.server);
    stage.server = NULL;
    for (int i = 0; i < count; i++)
        sem_post(&shared->awake);
    for (int i = 0; i < count; i++) {
        int r = hear(&stage, fds[i], "PAUSE");
        CHECK(r == 0, "no answer from address %d: %s", i, strerror(-r));
        hang_up(fds[i]);
    }
    tear_down(&stage);
}

static void several_servers_at_once(const struct design *const *chosen)
{
    struct stage stages[SERVERS];
    struct client clients[SERVERS][MAX_CLIENTS];
    for (int i = 0; i < SERVERS; i++)
        set_up(&stages[i], chosen[i], &plain, ANSWER_MS);
    for (int i = 0; i < SERVERS; i++)
        start(&stages[i]);
    for (int i = 0; i < SERVERS; i++)
        start_clients(&stages[i], clients[i], VISITS);
    for (int i = SERVERS - 1; i >= 0; i--) {
        join_clients(clients[i]);
        int64_t begin_ms = now_ms();
        shut_down(&stages[i]);
        CHECK(now_ms() - begin_ms < ANSWER_MS / 2, "a stop of an idle %s (%s) took %d ms", chosen[i]->strategy,
              chosen[i]->accept, (int)(now_ms() - begin_ms));
        tear_down(&stages[i]);
    }
}

/* --- all of them -------------------------------------------------------------------------------------------------- */

static void begin(const struct design *design, const char *what, const char *variant)
{
    snprintf(scenario, sizeof scenario, "%.31s (%.15s), %.40s, %.30s", design->strategy, design->accept, what, variant);
    alarm(SCENARIO_S);
}

static void run(const struct design *design)
{
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        begin(design, "serves under load and again", variants[i].name);
        serves_under_load_and_again(design, &variants[i]);
        begin(design, "is destroyed while callers knock", variants[i].name);
        is_destroyed_while_callers_knock(design, &variants[i]);
        begin(design, "what close does not wait for answers yet", variants[i].name);
        if (leaves_requests_to_others(design) && !waits(design, &variants[i]))
            what_close_does_not_wait_for_answers_yet(design, &variants[i]);
    }
    begin(design, "cuts off at the drain deadline", "plain");
    cuts_off_at_the_drain_deadline(design);
    begin(design, "a handler ends the loop", "plain");
    a_handler_ends_the_loop(design);
    begin(design, "shutdown returns although it serves again", "plain");
    shutdown_returns_although_it_serves_again(design);
}

struct census {
    int descriptors, threads;
};

static struct census take_census(void)
{
    return (struct census){ count_entries("/proc/self/fd"), count_entries("/proc/self/task") };
}

static void *do_nothing(void *argument)
{
    return argument;
}

/* ThreadSanitizer starts a thread of its own with the first. */
static struct census take_first_census(void)
{
    pthread_join(start_thread(do_nothing, NULL), NULL);
    return take_census();
}

/* Daemon threads, and children that close did not wait for, need a moment yet. */
static void expect_as_before(const struct census *before)
{
    struct census now;
    int64_t deadline_ms = now_ms() + ANSWER_MS;
    bool children;
    do {
        sched_yield();
        children = waitpid(-1, NULL, WNOHANG) >= 0;
        now = take_census();
    } while ((children || now.descriptors != before->descriptors || now.threads != before->threads) &&
             now_ms() < deadline_ms);
    CHECK(now.descriptors == before->descriptors, "%d descriptors instead of %d", now.descriptors,
          before->descriptors);
    CHECK(now.threads == before->threads, "%d threads instead of %d", now.threads, before->threads);
    CHECK(!children, "a child is left");
}

static void on_orphaned(int signo)
{
    (void)signo;
    give_up();
}

/* Workers outlive whoever is killed, for their servers do not run in a main thread (prctl(2)). So all is done in a
 * child with a process group of its own: its parent, left here, ends that group when the child has ended in whatever
 * way, and the child does so when its parent has. */
static void go_on_guarded(void)
{
    int status;
    const pid_t guard = getpid(), pid = fork();
    CHECK(pid >= 0, "cannot fork: %s", strerror(errno));
    if (pid == 0) {
        setpgid(0, 0);
        signal(SIGUSR1, on_orphaned);
        prctl(PR_SET_PDEATHSIG, SIGUSR1);
        CHECK(getppid() == guard, "killed at once");
        return;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    kill(-pid, SIGKILL);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

int main(int argc, char **argv)
{
    const struct design *chosen[DESIGNS];
    int count = 0;
    if (argc != 2 || (strcmp(argv[1], "threads") != 0 && strcmp(argv[1], "processes") != 0)) {
        fprintf(stderr, "stress: usage: stress threads|processes\n");
        return 2;
    }
    bool forks = strcmp(argv[1], "processes") == 0;
    setpgid(0, 0);
    if (forks)
        go_on_guarded();
    signal(SIGALRM, on_alarm);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED, "cannot map memory");
    sem_init(&shared->asleep, 1, 0);
    sem_init(&shared->awake, 1, 0);
    struct census before = take_first_census();
    for (int i = 0; i < DESIGNS; i++)
        if ((strstr(designs[i].strategy, "fork") != NULL) == forks) {
            run(&designs[i]);
            expect_as_before(&before);
            chosen[count++] = &designs[i];
        }
    for (int i = 0; i + SERVERS <= count; i += SERVERS) {
        begin(chosen[i], "several servers at once", "plain");
        several_servers_at_once(&chosen[i]);
        expect_as_before(&before);
    }
    return 0;
}
