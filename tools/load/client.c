#include "client.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static bool is_unix(const struct load *load)
{
    return load->plan->address.sa.sa_family == AF_UNIX;
}

void client_hang_up(struct client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
    client->up = client->spoiled = client->watched = client->watched_out = false;
}

/* --- the end of a request ----------------------------------------------------------------------------------------- */

static void end_request(struct load *load, struct client *client, struct line *next, uint64_t now_ns)
{
    client->busy = false;
    load->outstanding--;
    if (client->call)
        client->call->ended_ns = now_ns;
    line_join(next, &client->place, now_ns);
}

/* The backlog was full when the first SYN came: the kernel has dropped it, and the client has sent another one. */
static void look_for_lost_syn(struct load *load, struct client *client)
{
    struct tcp_info info = { .tcpi_total_retrans = 0 };
    socklen_t size = sizeof info;
    if (!load->stream || is_unix(load) || client->up || client->fd < 0)
        return;
    getsockopt(client->fd, IPPROTO_TCP, TCP_INFO, &info, &size);
    load->result->called_again += info.tcpi_total_retrans > 0;
}

static void fail(struct load *load, struct client *client, uint64_t *kind, uint64_t now_ns)
{
    look_for_lost_syn(load, client);
    client_hang_up(client);
    if (!client->poison) {
        ++*kind;
        if (load->failed_ns == 0)
            load->failed_ns = now_ns;
    }
    end_request(load, client, kind == &load->result->refused ? &load->resting : &load->free, now_ns);
}

static void refuse(struct load *load, struct client *client, int error, uint64_t now_ns)
{
    if (!client->poison)
        load->result->refusal = error;
    fail(load, client, &load->result->refused, now_ns);
}

static void succeed(struct load *load, struct client *client, uint64_t now_ns)
{
    struct load_result *result = load->result;
    result->answered++;
    client->answers++;
    histogram_record(&result->latency, now_ns - client->due_ns);
    histogram_record(&result->service, now_ns - client->called_ns);
    if (load->failed_ns > 0 && now_ns - load->failed_ns > result->outage_ns)
        result->outage_ns = now_ns - load->failed_ns;
    load->failed_ns = 0;
    load->answered_ns = now_ns;
    if (client->answer.number > result->largest_number)
        result->largest_number = client->answer.number;
    if (client->call)
        client->call->answered = true;
    if (!load->reuses)
        client_hang_up(client);
    end_request(load, client, &load->free, now_ns);
}

void client_give_up(struct load *load, struct client *client, uint64_t now_ns)
{
    fail(load, client, &load->result->unanswered, now_ns);
}

/* --- connecting --------------------------------------------------------------------------------------------------- */

/* An end that a server sees as an orderly one, and after which no port stays in TIME_WAIT, where it could not be used
 * again for a minute: once the other side has acknowledged the FIN, the kernel resets the connection. */
static void leave_no_trace(int fd)
{
    setsockopt(fd, IPPROTO_TCP, TCP_LINGER2, &(int){ -1 }, sizeof(int));
}

int client_autobind(int fd)
{
    struct sockaddr unnamed = { .sa_family = AF_UNIX };
    return bind(fd, &unnamed, sizeof unnamed.sa_family);
}

static int dial(struct load *load, struct client *client)
{
    const struct sb_address *address = &load->plan->address;
    client->fd = socket(address->sa.sa_family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (client->fd < 0)
        return -errno;
    if (load->stream && !is_unix(load))
        leave_no_trace(client->fd);
    if (!load->stream && is_unix(load) && client_autobind(client->fd) < 0)
        goto fail;
    if (connect(client->fd, &address->sa, address->size) == 0 || errno == EINPROGRESS)
        return 0;
fail:;
    int r = -errno;
    client_hang_up(client);
    return r;
}

static int watch(struct load *load, struct client *client, bool out)
{
    struct epoll_event event = { .events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = client };
    if (client->watched && client->watched_out == out)
        return 0;
    int r = epoll_ctl(load->epoll_fd, client->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, client->fd, &event);
    client->watched = true;
    client->watched_out = out;
    return r;
}

/* Returns false where it has no connection: the request has failed, or goes on when the client has rested, because a
 * Unix socket's full backlog is nothing that epoll(7) could wait for. */
static bool call(struct load *load, struct client *client, uint64_t now_ns)
{
    int r = dial(load, client);
    if (r == -EAGAIN && is_unix(load)) {
        load->result->called_again += !client->called_again;
        client->called_again = true;
        line_join(&load->resting, &client->place, now_ns);
        return false;
    }
    if (r < 0)
        refuse(load, client, -r, now_ns);
    return r == 0;
}

/* The socket says that there is nobody (any more). */
static void break_off(struct load *load, struct client *client, int error)
{
    uint64_t now_ns = clock_ns();
    if (load->stream && client->up)
        fail(load, client, &load->result->cut_off, now_ns);
    else
        refuse(load, client, error, now_ns);
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

static const char *question(const struct load *load, const struct client *client, char line[DIALOGUE_LINE_SIZE],
                            size_t *ret_size)
{
    if (!client->poison)
        return dialogue_question(&load->plan->dialogue, client->number, line, ret_size);
    *ret_size = strlen(load->plan->poison);
    return load->plan->poison;
}

static void start_clock(struct load *load, struct client *client, uint64_t now_ns)
{
    client->called_ns = now_ns;
    if (client->call)
        client->call->called_ns = client->called_ns;
    line_join(&load->asking, &client->place, client->called_ns);
}

/* The connection is there. Where it is to serve many requests, the first one's time does not include it. */
static void come_up(struct load *load, struct client *client, uint64_t now_ns)
{
    if (client->watched_out)
        look_for_lost_syn(load, client);
    if (load->reuses)
        start_clock(load, client, now_ns);
    client->up = true;
}

static void note_port(struct client *client)
{
    struct sb_address own = { .size = sizeof own.in6 };
    getsockname(client->fd, &own.sa, &own.size);
    client->call->port = own.sa.sa_family == AF_INET ? ntohs(own.in.sin_port)
                         : own.sa.sa_family == AF_INET6 ? ntohs(own.in6.sin6_port) : 0;
}

/* Sends what remains of the question. */
static void ask(struct load *load, struct client *client)
{
    char line[DIALOGUE_LINE_SIZE];
    size_t size;
    const char *text = question(load, client, line, &size);
    uint64_t now_ns = client->up ? 0 : clock_ns();      /* before: the server may be quick */
    ssize_t n = send(client->fd, text + client->sent, size - client->sent, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        break_off(load, client, errno);
        return;
    }
    if (n >= 0 && !client->up)
        come_up(load, client, now_ns);
    client->sent += n > 0 ? (unsigned)n : 0;
    if (client->poison && client->sent == size)
        load->result->poisoned++;
    if (watch(load, client, client->sent < size) < 0)
        refuse(load, client, errno, clock_ns());
}

static void record(struct load *load, struct client *client)
{
    struct load_result *result = load->result;
    client->call = NULL;
    result->begun++;
    if (result->n_calls == load->plan->calls_room)
        return;
    client->call = &load->plan->calls[result->n_calls++];
    *client->call = (struct load_call){ .called_ns = client->called_ns };
}

static void go_on(struct load *load, struct client *client, uint64_t now_ns)
{
    line_join(&load->asking, &client->place, now_ns);
    if (client->fd < 0 && !call(load, client, now_ns))
        return;
    if (client->call)
        note_port(client);
    ask(load, client);
}

void client_begin(struct load *load, struct client *client, uint64_t due_ns, uint64_t now_ns)
{
    const struct load_plan *plan = load->plan;
    client->number = ++load->begun;
    client->due_ns = due_ns;
    client->called_ns = now_ns;
    client->answer = (struct answer){ .size = 0 };
    client->sent = 0;
    client->busy = true;
    client->called_again = false;
    client->poison = plan->poison && load->begun % plan->poison_each == 0;
    client->call = NULL;
    load->outstanding++;
    if (!client->poison)
        record(load, client);
    go_on(load, client, now_ns);
}

/* --- hearing ------------------------------------------------------------------------------------------------------ */

static size_t keep_beginning(char *kept, const char *bytes, size_t size)
{
    size_t n = size < LOAD_EXAMPLE_SIZE ? size : LOAD_EXAMPLE_SIZE;
    memcpy(kept, bytes, n);
    return n;
}

/* Where a large answer comes in pieces, the first wrong one. */
static void keep_example(const struct load *load, const struct client *client, size_t size)
{
    struct load_example *example = &load->result->example;
    char line[DIALOGUE_LINE_SIZE];
    size_t question_size;
    if (example->question_size > 0)
        return;
    const char *text = question(load, client, line, &question_size);
    example->answer_size = keep_beginning(example->answer, load->buffer, size);
    example->question_size = keep_beginning(example->question, text, question_size);
}

static void hear(struct load *load, struct client *client)
{
    ssize_t n = recv(client->fd, load->buffer, CLIENT_BUFFER_SIZE, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0 || (n == 0 && load->stream)) {
        break_off(load, client, errno);
        return;
    }
    if (client->poison)
        return;
    enum verdict verdict = dialogue_check(&load->plan->dialogue, client->number, &client->answer, load->buffer,
                                          (size_t)n);
    if (client->spoiled || verdict == ANSWER_WRONG || (verdict == ANSWER_PART && !load->stream)) {
        keep_example(load, client, (size_t)n);
        fail(load, client, &load->result->wrong, clock_ns());
    } else if (verdict == ANSWER_WHOLE) {
        succeed(load, client, clock_ns());
    }
}

/* A client that has asked nothing, or a slow one. */
static void overhear(struct load *load, struct client *client)
{
    ssize_t n = recv(client->fd, load->buffer, CLIENT_BUFFER_SIZE, 0);
    if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)) || (n == 0 && !load->stream)) {
        client->spoiled |= n >= 0;
        return;
    }
    client_hang_up(client);
    if (client->slow)
        line_join(&load->resting, &client->place, clock_ns());
}

void client_event(struct load *load, struct client *client, uint32_t events)
{
    if (client->fd < 0)
        return;
    if (!client->busy) {
        overhear(load, client);
        return;
    }
    if (client->watched_out && (events & ~(uint32_t)EPOLLIN))
        ask(load, client);
    if (client->busy && client->fd >= 0 && (events & ~(uint32_t)EPOLLOUT))
        hear(load, client);
}

/* --- slow clients, and those who rest ----------------------------------------------------------------------------- */

void client_dial_slow(struct load *load, struct client *client, uint64_t now_ns)
{
    if (dial(load, client) == 0 && watch(load, client, false) == 0) {
        line_join(&load->dripping, &client->place, now_ns);
        return;
    }
    client_hang_up(client);
    line_join(&load->resting, &client->place, now_ns);
}

void client_drip(struct load *load, struct client *client, uint64_t now_ns)
{
    char byte = dialogue_drip(&load->plan->dialogue, client->sent++);
    send(client->fd, &byte, 1, MSG_NOSIGNAL);
    line_join(&load->dripping, &client->place, now_ns);
}

void client_wake(struct load *load, struct client *client, uint64_t now_ns)
{
    if (client->slow)
        client_dial_slow(load, client, now_ns);
    else if (!client->busy)
        line_join(&load->free, &client->place, now_ns);
    else if (now_ns - client->called_ns >= load->plan->patience_ns)
        client_give_up(load, client, now_ns);
    else
        go_on(load, client, now_ns);
}
