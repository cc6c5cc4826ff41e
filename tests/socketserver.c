/* CPython's own test list for socketserver, case by case and named alike, through the public library API. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <switchboard/switchboard.h>

#define HELLO "hello world\n"
#define FOREIGN_STATUS 72
#define PATIENCE_S 120

/* What handlers, overrides and the log saw, also in children: it lives in shared memory. */
struct tally {
    _Atomic int handled;        /* handle ran */
    _Atomic int errors;         /* an overridden handle_error ran, with last_error */
    _Atomic int last_error;
    _Atomic int shutdowns;      /* an overridden shutdown_request ran */
    _Atomic int closes;         /* an overridden close_request ran */
    _Atomic int complaints;     /* log calls, warnings and errors */
    _Atomic int reports;        /* those of them that are handle_error's text */
};

static struct tally *tally;
static char folder[] = "/tmp/switchboard-XXXXXX";
static char socket_path[sizeof(folder) + 16];

static void set_up(void)
{
    tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(tally, MAP_FAILED);
    cr_assert_not_null(mkdtemp(folder));
    snprintf(socket_path, sizeof(socket_path), "%s/server", folder);
}

static void tear_down(void)
{
    unlink(socket_path);
    rmdir(folder);
    munmap(tally, sizeof(*tally));
}

TestSuite(socketserver, .init = set_up, .fini = tear_down, .timeout = 600);

static void count_complaint(void *data, enum sb_log_level level, const char *text)
{
    struct tally *seen = data;
    if (level > SB_LOG_WARNING)
        return;
    atomic_fetch_add(&seen->complaints, 1);
    if (strstr(text, "Exception occurred during processing of request from"))
        atomic_fetch_add(&seen->reports, 1);
}

static struct sb_config make_config(void)
{
    struct sb_config config = SB_CONFIG_DEFAULTS;
    config.data = tally;
    config.log = count_complaint;
    return config;
}

static struct sb_server *make_server(const struct sb_class *const *type, const char *address,
                                     const struct sb_handler *handler)
{
    struct sb_config config = make_config();
    struct sb_server *server = NULL;
    int error = sb_server_create(type, address, SB_HANDLERS(handler), &config, &server);
    cr_assert_eq(error, 0, "sb_server_create: %s", strerror(-error));
    return server;
}

static void *serve(void *server)
{
    return (void *)(intptr_t)sb_server_serve_forever(server);
}

static pthread_t start(struct sb_server *server)
{
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, serve, server), 0);
    return thread;
}

static void join(pthread_t thread)
{
    void *result;
    cr_assert_eq(pthread_join(thread, &result), 0);
    cr_assert_eq((intptr_t)result, 0, "the loop ended with %d", (int)(intptr_t)result);
}

/* A client socket, connected; on unixgram with a name of the kernel's choice, without which nobody could answer it. */
static int connect_to(const struct sb_server *server)
{
    struct sb_address address;
    struct timeval patience = { .tv_sec = PATIENCE_S };
    struct sockaddr unnamed = { .sa_family = AF_UNIX };

    cr_assert_eq(sb_address_parse(sb_server_address(server, 0), NULL, &address, NULL), 0);
    int fd = socket(address.sa.sa_family, address.socktype | SOCK_CLOEXEC, 0);
    cr_assert_geq(fd, 0);
    if (address.sa.sa_family == AF_UNIX)
        cr_assert_eq(bind(fd, &unnamed, sizeof(unnamed.sa_family)), 0);
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)), 0);
    cr_assert_eq(connect(fd, &address.sa, address.size), 0, "connect: %s", strerror(errno));
    return fd;
}

static void connect_and_leave(const struct sb_server *server)
{
    close(connect_to(server));
}

static int count_descriptors(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    cr_assert_not_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

/* From the kernel's own count: reading the folder /proc/self/task may miss a thread while another one ends. */
static int count_threads(void)
{
    char line[128];
    int count = 0;
    FILE *status = fopen("/proc/self/status", "re");
    cr_assert_not_null(status);
    while (count == 0 && fgets(line, sizeof(line), status))
        sscanf(line, "Threads: %d", &count);
    fclose(status);
    return count;
}

/* A thread still counts for a moment after pthread_join() has returned. */
static bool threads_fall_to(int count)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    time_t deadline = now.tv_sec + PATIENCE_S;
    while (count_threads() > count && now.tv_sec < deadline) {
        sched_yield();
        clock_gettime(CLOCK_MONOTONIC, &now);
    }
    return count_threads() <= count;
}

/* The twelve types: a line comes back, three times, and nothing is left behind. */

static int echo_line(struct sb_request *request)
{
    char line[100];
    ssize_t size = sb_readline(request, line, sizeof(line));
    return size > 0 ? sb_sendall(request, line, (size_t)size) : (int)size;
}

static const struct sb_handler echo = { .abi_version = SB_ABI_VERSION, .struct_size = sizeof(struct sb_handler),
                                        .name = "echo", .handle = echo_line };

static void examine(const struct sb_server *server)
{
    char reply[100] = "";
    size_t size = 0;
    int fd = connect_to(server);

    cr_assert_eq(send(fd, HELLO, strlen(HELLO), 0), strlen(HELLO));
    while (!memchr(reply, '\n', size) && size < sizeof(reply) - 1) {
        ssize_t more = TEMP_FAILURE_RETRY(recv(fd, reply + size, sizeof(reply) - 1 - size, 0));
        cr_assert_gt(more, 0, "the reply ended after %zu bytes: %s", size, more ? strerror(errno) : "closed");
        size += (size_t)more;
    }
    cr_assert_str_eq(reply, HELLO);
    close(fd);
}

/* server_address is what getsockname(2) says. */
static void check_address(const struct sb_server *server)
{
    struct sb_address address = { .size = sizeof(struct sockaddr_un) };
    socklen_t type_size = sizeof(address.socktype);
    char text[SB_ADDRESS_TEXT_SIZE];
    int fd = sb_server_fileno(server);

    cr_assert_eq(getsockname(fd, &address.sa, &address.size), 0);
    cr_assert_eq(getsockopt(fd, SOL_SOCKET, SO_TYPE, &address.socktype, &type_size), 0);
    cr_assert_str_eq(sb_server_address(server, 0), sb_address_format(&address, text));
}

static pid_t fork_foreigner(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(FOREIGN_STATUS);
    cr_assert_gt(pid, 0);
    return pid;
}

/* The foreign child's status is still there to be waited for, and no other child is. */
static void check_children(pid_t foreigner)
{
    int status;
    cr_assert_eq(waitpid(foreigner, &status, 0), foreigner, "somebody reaped the foreign child");
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == FOREIGN_STATUS);
    cr_assert_eq(waitpid(-1, &status, WNOHANG), -1, "a child is left");
    cr_assert_eq(errno, ECHILD);
}

static void run_server(const struct sb_class *const *type, const char *address)
{
    pid_t foreigner = fork_foreigner();
    int threads = count_threads();
    struct sb_server *server = make_server(type, address, &echo);
    check_address(server);
    pthread_t thread = start(server);

    for (int i = 0; i < 3; i++)
        examine(server);
    sb_server_shutdown(server);
    join(thread);
    sb_server_close(server);
    cr_assert_eq(sb_server_fileno(server), -1);
    cr_assert_eq(access(socket_path, F_OK), -1, "the socket's path is left");
    sb_server_destroy(server);

    cr_assert(threads_fall_to(threads), "%d threads are left", count_threads() - threads);
    check_children(foreigner);
    cr_assert_eq(tally->complaints, 0);
}

#define SERVES(name, type, address) \
    Test(socketserver, name) \
    { \
        run_server(type, address); \
    }

SERVES(TCPServer, sb_tcp_server, "127.0.0.1:0")
SERVES(ThreadingTCPServer, sb_threading_tcp_server, "127.0.0.1:0")
SERVES(ForkingTCPServer, sb_forking_tcp_server, "127.0.0.1:0")
SERVES(UnixStreamServer, sb_unix_stream_server, socket_path)
SERVES(ThreadingUnixStreamServer, sb_threading_unix_stream_server, socket_path)
SERVES(ForkingUnixStreamServer, sb_forking_unix_stream_server, socket_path)
SERVES(UDPServer, sb_udp_server, "127.0.0.1:0")
SERVES(ThreadingUDPServer, sb_threading_udp_server, "127.0.0.1:0")
SERVES(ForkingUDPServer, sb_forking_udp_server, "127.0.0.1:0")
SERVES(UnixDatagramServer, sb_unix_datagram_server, socket_path)
SERVES(ThreadingUnixDatagramServer, sb_threading_unix_datagram_server, socket_path)
SERVES(ForkingUnixDatagramServer, sb_forking_unix_datagram_server, socket_path)

/* Life of a server. */

Test(socketserver, shutdown)
{
    struct sb_server *servers[20];
    pthread_t threads[20];

    for (int i = 0; i < 20; i++)
        servers[i] = make_server(sb_tcp_server, "127.0.0.1:0", &echo);
    for (int i = 0; i < 20; i++) {
        threads[i] = start(servers[i]);
        sb_server_shutdown(servers[i]);
    }
    for (int i = 0; i < 20; i++) {
        join(threads[i]);
        sb_server_close(servers[i]);
        cr_assert_eq(sb_server_fileno(servers[i]), -1);
        sb_server_destroy(servers[i]);
    }
}

Test(socketserver, close_immediately)
{
    struct sb_server *server = make_server(sb_threading_tcp_server, "127.0.0.1:0", &echo);
    sb_server_close(server);
    cr_assert_eq(sb_server_fileno(server), -1);
    sb_server_destroy(server);
}

/* Python's port -1 fails in bind; here a number like that never gets so far, so a taken port stands beside it. */
Test(socketserver, tcpserver_bind_leak)
{
    struct sb_server *owner = make_server(sb_tcp_server, "127.0.0.1:0", &echo);
    struct sb_config config = make_config();
    struct sb_server *server = NULL;
    int descriptors = count_descriptors();

    for (int i = 0; i < 1024; i++) {
        cr_assert_eq(sb_server_create(sb_tcp_server, sb_server_address(owner, 0), SB_HANDLERS(&echo), &config, &server),
                     -EADDRINUSE);
        cr_assert_eq(sb_server_create(sb_tcp_server, "127.0.0.1:-1", SB_HANDLERS(&echo), &config, &server), -EINVAL);
    }
    cr_assert_null(server, "a failure must leave ret_server alone");
    cr_assert_eq(count_descriptors(), descriptors);
    cr_assert_eq(tally->complaints, 2 * 1024, "one sentence for each failure");
    sb_server_destroy(owner);
}

/* Python's `with` ends in server_close(); in C the scope ends with sb_server_destroy(), which closes. */
Test(socketserver, context_manager)
{
    struct sb_server *server = make_server(sb_tcp_server, "127.0.0.1:0", &echo);
    int fd = sb_server_fileno(server);
    cr_assert_geq(fcntl(fd, F_GETFD), 0);
    sb_server_destroy(server);
    cr_assert_eq(fcntl(fd, F_GETFD), -1);
    cr_assert_eq(errno, EBADF);
    sb_server_destroy(NULL);
}

/* Errors of a handler. Python's "not handled" cases raise SystemExit, which passes handle_error by. C has one kind of
 * failure, a negative return, so here "handled" means that the program's own handle_error gets it, and nothing is
 * logged, and "not handled" that the program has none, so that BaseServer's reports it once. In both the request is
 * shut down and closed, and the server survives. */

static struct tally *tally_of(struct sb_request *request)
{
    return sb_server_data(sb_request_server(request));
}

static int fail(struct sb_request *request)
{
    atomic_fetch_add(&tally_of(request)->handled, 1);
    return -EDOM;
}

static const struct sb_handler bad = { .abi_version = SB_ABI_VERSION, .struct_size = sizeof(struct sb_handler),
                                       .name = "bad", .handle = fail };

static void count_error(struct sb_request *request, int error)
{
    atomic_fetch_add(&tally_of(request)->errors, 1);
    atomic_store(&tally_of(request)->last_error, error);
}

static const struct sb_class error_counter = { .name = "error_counter", .handle_error = count_error };

static const struct sb_class end_counter;

static void count_shutdown(struct sb_request *request)
{
    atomic_fetch_add(&tally_of(request)->shutdowns, 1);
    sb_super(sb_request_server(request), &end_counter)->shutdown_request(request);
}

static void count_close(struct sb_request *request)
{
    atomic_fetch_add(&tally_of(request)->closes, 1);
    sb_super(sb_request_server(request), &end_counter)->close_request(request);
}

static const struct sb_class end_counter = {
    .name = "end_counter", .shutdown_request = count_shutdown, .close_request = count_close };

static void check_error(const struct sb_class *const *type, bool handled)
{
    struct sb_server *server = make_server(type, "127.0.0.1:0", &bad);
    connect_and_leave(server);
    cr_assert_eq(sb_server_handle_request(server), 1);
    sb_server_close(server);

    cr_assert_eq(tally->handled, 1);
    cr_assert_eq(tally->errors, handled);
    cr_assert_eq(tally->last_error, handled ? -EDOM : 0);
    cr_assert_eq(tally->complaints, !handled);
    cr_assert_eq(tally->reports, !handled);
    cr_assert_eq(tally->shutdowns, 1);
    cr_assert_geq(tally->closes, 1, "under fork the parent closes its copy as well");
    sb_server_destroy(server);
}

#define TYPE(...) ((const struct sb_class *const[]){ __VA_ARGS__, NULL })

Test(socketserver, sync_handled)
{
    check_error(TYPE(&error_counter, &end_counter, &sb_tcp_class), true);
}

Test(socketserver, sync_not_handled)
{
    check_error(TYPE(&end_counter, &sb_tcp_class), false);
}

Test(socketserver, threading_handled)
{
    check_error(TYPE(&error_counter, &end_counter, &sb_threading_mixin, &sb_tcp_class), true);
}

Test(socketserver, threading_not_handled)
{
    check_error(TYPE(&end_counter, &sb_threading_mixin, &sb_tcp_class), false);
}

Test(socketserver, forking_handled)
{
    check_error(TYPE(&error_counter, &end_counter, &sb_forking_mixin, &sb_tcp_class), true);
}

Test(socketserver, forking_not_handled)
{
    check_error(TYPE(&end_counter, &sb_forking_mixin, &sb_tcp_class), false);
}

/* The writer. */

static struct {
    bool streams_are_kept;
    int wfile_fileno, request_fileno, socket_type;
} basics;

static int note_basics(struct sb_request *request)
{
    FILE *wfile = sb_wfile(request);
    socklen_t size = sizeof(basics.socket_type);

    if (!wfile)
        return -ENOMEM;
    basics.streams_are_kept = wfile == sb_wfile(request) && sb_rfile(request) == sb_rfile(request);
    basics.wfile_fileno = fileno(wfile);
    basics.request_fileno = sb_fileno(request);
    return sb_getsockopt(request, SOL_SOCKET, SO_TYPE, &basics.socket_type, &size);
}

Test(socketserver, basics)
{
    static const struct sb_handler handler = { .abi_version = SB_ABI_VERSION, .struct_size = sizeof(struct sb_handler),
                                               .name = "basics", .handle = note_basics };
    struct sb_server *server = make_server(sb_tcp_server, "127.0.0.1:0", &handler);
    connect_and_leave(server);
    cr_assert_eq(sb_server_handle_request(server), 1);
    cr_assert_eq(tally->complaints, 0);
    cr_assert(basics.streams_are_kept);
    cr_assert_eq(basics.socket_type, SOCK_STREAM);
    cr_assert_geq(basics.request_fileno, 0);
    cr_assert(basics.wfile_fileno == basics.request_fileno || basics.wfile_fileno == -1,
              "a stream that has a descriptor has the request's");
    sb_server_destroy(server);
}

#define BIG_SIZE ((16 << 20) + 1)
#define STORM_SIZE 100

static struct {
    size_t sent_first, sent_big;
    char received[32];
} writer;

static struct {
    int fd;
    pthread_t target;
    char first[32];
    size_t received_big, wrong;
} reader;

static atomic_int interruptions;

static void interrupt(int signal_number)
{
    (void)signal_number;
    atomic_fetch_add(&interruptions, 1);
}

static unsigned char big_byte(size_t position)
{
    return (unsigned char)(position % 251);
}

static int write_big(struct sb_request *request)
{
    FILE *wfile = sb_wfile(request);
    unsigned char *big = malloc(BIG_SIZE);
    if (!big || !wfile)
        goto fail;
    for (size_t i = 0; i < BIG_SIZE; i++)
        big[i] = big_byte(i);

    writer.sent_first = fwrite("write data\n", 1, 11, wfile);
    if (!fgets(writer.received, sizeof(writer.received), sb_rfile(request)))
        goto fail;
    writer.sent_big = fwrite(big, 1, BIG_SIZE, wfile);
    free(big);
    return 0;
fail:
    free(big);
    return -EIO;
}

static const struct sb_handler big_writer = { .abi_version = SB_ABI_VERSION, .struct_size = sizeof(struct sb_handler),
                                              .name = "big_writer", .handle = write_big };

/* Signals coalesce: each is seen to arrive before the next is sent. */
static void interrupt_writer(int times)
{
    int seen = atomic_load(&interruptions);
    for (int i = 0; i < times; i++) {
        pthread_kill(reader.target, SIGUSR1);
        while (atomic_load(&interruptions) == seen)
            sched_yield();
        seen = atomic_load(&interruptions);
    }
}

static void receive_big(size_t size)
{
    unsigned char bytes[4096];
    while (reader.received_big < size) {
        size_t left = size - reader.received_big;
        ssize_t got = recv(reader.fd, bytes, left < sizeof(bytes) ? left : sizeof(bytes), 0);
        if (got <= 0)
            return;
        for (ssize_t i = 0; i < got; i++)
            reader.wrong += bytes[i] != big_byte(reader.received_big + (size_t)i);
        reader.received_big += (size_t)got;
    }
}

/* Until the reader goes on the writer is stuck behind full buffers, so the first storm meets it waiting. */
static void *read_big(void *unused)
{
    (void)unused;
    recv(reader.fd, reader.first, 11, MSG_WAITALL);
    send(reader.fd, "client response\n", 16, 0);
    receive_big(100);
    interrupt_writer(STORM_SIZE);
    while (reader.received_big < BIG_SIZE) {
        size_t before = reader.received_big;
        receive_big(before + (64 << 10) < BIG_SIZE ? before + (64 << 10) : BIG_SIZE);
        if (reader.received_big == before)
            break;
        interrupt_writer(1);
    }
    receive_big(BIG_SIZE + 1);
    close(reader.fd);
    return NULL;
}

Test(socketserver, write)
{
    struct sigaction action = { .sa_handler = interrupt };
    struct sb_server *server = make_server(sb_tcp_server, "127.0.0.1:0", &big_writer);
    pthread_t thread;

    cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
    reader.fd = connect_to(server);
    reader.target = pthread_self();
    cr_assert_eq(pthread_create(&thread, NULL, read_big, NULL), 0);
    cr_assert_eq(sb_server_handle_request(server), 1);
    cr_assert_eq(pthread_join(thread, NULL), 0);

    cr_assert_eq(tally->complaints, 0);
    cr_assert_eq(writer.sent_first, 11);
    cr_assert_str_eq(reader.first, "write data\n");
    cr_assert_str_eq(writer.received, "client response\n");
    cr_assert_geq(interruptions, STORM_SIZE);
    cr_assert_eq(writer.sent_big, BIG_SIZE);
    cr_assert_eq(reader.received_big, BIG_SIZE);
    cr_assert_eq(reader.wrong, 0);
    sb_server_destroy(server);
}

/* The rest. */

/* Python compares the module with __all__. Here what the headers declare must be there to link against, and each of
 * the ready-made types is a list that ends in an address family. */
Test(socketserver, all)
{
    static void (*const functions[])(void) = {
#define F(name) (void (*)(void))(name)
        F(sb_address_parse), F(sb_address_resolve), F(sb_address_unmap), F(sb_address_map), F(sb_address_format),
        F(sb_address_format_peer), F(sb_address_scheme), F(sb_address_socket), F(sb_address_connect),
        F(sb_super), F(sb_state), F(sb_server_strategy), F(sb_listener_server), F(sb_listener_fileno),
        F(sb_request_free), F(sb_request_end), F(sb_parse_count),
        F(sb_instance), F(sb_options), F(sb_super_setup), F(sb_super_handle), F(sb_super_finish),
        F(sb_recv), F(sb_send), F(sb_sendall), F(sb_readline), F(sb_printf), F(sb_rfile), F(sb_wfile),
        F(sb_settimeout), F(sb_gettimeout), F(sb_wait_fd), F(sb_sleep), F(sb_is_datagram), F(sb_fileno),
        F(sb_client_address), F(sb_local_address), F(sb_client_name), F(sb_peer_credentials), F(sb_getsockopt),
        F(sb_setsockopt), F(sb_request_server), F(sb_log), F(sb_conceal),
        F(sb_scoreboard_open), F(sb_scoreboard_close), F(sb_scoreboard_slot), F(sb_scoreboard_totals),
        F(sb_state_name), F(sb_server_scoreboard),
        F(sb_discipline_parse), F(sb_discipline_name), F(sb_server_create), F(sb_server_listen),
        F(sb_server_serve_forever), F(sb_server_handle_request), F(sb_server_stop), F(sb_server_stop_now),
        F(sb_server_shutdown),
        F(sb_server_close), F(sb_server_destroy), F(sb_server_fileno), F(sb_server_address), F(sb_server_data),
        F(sb_server_handler_name), F(sb_server_log), F(sb_plugin_load_handler), F(sb_plugin_load_class),
#undef F
    };
    static const struct sb_class *const *const types[] = {
        sb_tcp_server, sb_udp_server, sb_unix_stream_server, sb_unix_datagram_server,
        sb_threading_tcp_server, sb_threading_udp_server, sb_threading_unix_stream_server,
        sb_threading_unix_datagram_server, sb_forking_tcp_server, sb_forking_udp_server,
        sb_forking_unix_stream_server, sb_forking_unix_datagram_server, sb_pool_tcp_server, sb_pool_udp_server,
        sb_pool_unix_stream_server, sb_pool_unix_datagram_server, sb_prefork_tcp_server, sb_prefork_udp_server,
        sb_prefork_unix_stream_server, sb_prefork_unix_datagram_server, sb_prethread_tcp_server,
        sb_prethread_udp_server, sb_prethread_unix_stream_server, sb_prethread_unix_datagram_server,
        sb_fiber_tcp_server, sb_fiber_udp_server, sb_fiber_unix_stream_server, sb_fiber_unix_datagram_server,
    };

    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
        cr_expect(functions[i], "function %zu is missing", i);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        const struct sb_class *const *last = types[i];
        while (last[1])
            last++;
        cr_expect((*last)->traits & SB_FAMILY, "type %zu ends in %s", i, (*last)->name);
    }
    cr_expect_str_eq(sb_strategies[0]->name, "serial");
}

static bool say_no(struct sb_request *request)
{
    (void)request;
    return false;
}

Test(socketserver, shutdown_request_called_if_verify_request_false)
{
    static const struct sb_class refuser = { .name = "refuser", .verify_request = say_no };
    struct sb_server *server = make_server(TYPE(&refuser, &end_counter, &sb_tcp_class), "127.0.0.1:0", &bad);
    connect_and_leave(server);
    sb_server_handle_request(server);
    cr_assert_eq(tally->shutdowns, 1);
    cr_assert_eq(tally->closes, 1);
    cr_assert_eq(tally->handled, 0);
    cr_assert_eq(tally->complaints, 0);
    sb_server_destroy(server);
}

static void serve_visitors(struct sb_server *server, int count)
{
    int threads = count_threads();
    for (int i = 0; i < count; i++) {
        int fd = connect_to(server);
        cr_assert_eq(sb_server_handle_request(server), 1);
        close(fd);
        cr_assert(threads_fall_to(threads), "%d threads are left", count_threads() - threads);
    }
}

static int count_mappings(void)
{
    int c, count = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    cr_assert_not_null(maps);
    while ((c = getc(maps)) != EOF)
        count += c == '\n';
    fclose(maps);
    return count;
}

/* A finished thread that nobody joined no longer counts as one, but its stack is still mapped. */
Test(socketserver, threads_reaped)
{
    struct sb_server *server = make_server(sb_threading_tcp_server, "127.0.0.1:0", &echo);
    serve_visitors(server, 10);
    int mappings = count_mappings();
    serve_visitors(server, 200);
    cr_assert_lt(count_mappings() - mappings, 100, "the stacks of finished threads are kept");
    sb_server_destroy(server);
}
