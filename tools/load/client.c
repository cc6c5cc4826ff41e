#include "client.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include "../clock.h"
#include "connection.h"
#include "slow.h"

/* --- the end of a request ----------------------------------------------------------------------------------------- */

static void end_request(struct run *run, struct client *client, struct line *next, uint64_t now_ns)
{
    client->busy = false;
    run->outstanding--;
    if (client->call)
        client->call->ended_ns = now_ns;
    line_join(next, &client->place, now_ns);
}

static void fail(struct run *run, struct client *client, uint64_t *kind, uint64_t now_ns)
{
    connection_look_for_lost_syn(run, client);
    connection_hang_up(client);
    if (!client->poison) {
        ++*kind;
        if (run->failed_ns == 0)
            run->failed_ns = now_ns;
    }
    end_request(run, client, kind == &run->result->refused ? &run->resting : &run->free, now_ns);
}

static void refuse(struct run *run, struct client *client, int error, uint64_t now_ns)
{
    if (!client->poison)
        run->result->refusal = error;
    fail(run, client, &run->result->refused, now_ns);
}

static void succeed(struct run *run, struct client *client, uint64_t now_ns)
{
    struct load_result *result = run->result;
    result->answered++;
    client->answers++;
    histogram_record(&result->latency, now_ns - client->due_ns);
    histogram_record(&result->service, now_ns - client->called_ns);
    if (run->failed_ns > 0 && now_ns - run->failed_ns > result->outage_ns)
        result->outage_ns = now_ns - run->failed_ns;
    run->failed_ns = 0;
    run->answered_ns = now_ns;
    if (client->answer.number > result->largest_number)
        result->largest_number = client->answer.number;
    if (client->call)
        client->call->answered = true;
    if (!run->reuses)
        connection_hang_up(client);
    end_request(run, client, run->plan->think_ms > 0 ? &run->thinking : &run->free, now_ns);
}

void client_give_up(struct run *run, struct client *client, uint64_t now_ns)
{
    fail(run, client, &run->result->unanswered, now_ns);
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

/* Returns false where it has no connection: the request has failed, or goes on when the client has rested, because a
 * Unix socket's full backlog is nothing that epoll(7) could wait for. */
static bool call(struct run *run, struct client *client, uint64_t now_ns)
{
    int r = connection_dial(run, client);
    if (r == -EAGAIN && run_is_unix(run)) {
        run->result->called_again += !client->called_again;
        client->called_again = true;
        line_join(&run->resting, &client->place, now_ns);
        return false;
    }
    if (r < 0)
        refuse(run, client, -r, now_ns);
    return r == 0;
}

/* The socket says that there is nobody (any more). */
static void break_off(struct run *run, struct client *client, int error)
{
    uint64_t now_ns = clock_ns();
    if (run->stream && client->up)
        fail(run, client, &run->result->cut_off, now_ns);
    else
        refuse(run, client, error, now_ns);
}

static const char *question(const struct run *run, const struct client *client, char line[DIALOGUE_LINE_SIZE],
                            size_t *ret_size)
{
    if (!client->poison)
        return dialogue_question(&run->plan->dialogue, client->number, line, ret_size);
    *ret_size = strlen(run->plan->poison);
    return run->plan->poison;
}

static void start_clock(struct run *run, struct client *client, uint64_t now_ns)
{
    client->called_ns = now_ns;
    line_join(&run->asking, &client->place, client->called_ns);
}

/* The connection is there. Where it is to serve many requests, the first one's time does not include it. */
static void come_up(struct run *run, struct client *client, uint64_t now_ns)
{
    if (client->watched_out)
        connection_look_for_lost_syn(run, client);
    if (run->reuses)
        start_clock(run, client, now_ns);
    client->up = true;
}

/* Sends what remains of the question. */
static void ask(struct run *run, struct client *client)
{
    char line[DIALOGUE_LINE_SIZE];
    size_t size;
    const char *text = question(run, client, line, &size);
    uint64_t now_ns = client->up ? 0 : clock_ns();      /* before: the server may be quick */
    ssize_t n = send(client->fd, text + client->sent, size - client->sent, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        break_off(run, client, errno);
        return;
    }
    if (n >= 0 && !client->up)
        come_up(run, client, now_ns);
    client->sent += n > 0 ? (unsigned)n : 0;
    if (client->poison && client->sent == size)
        run->result->poisoned++;
    int r = connection_watch(run, client, client->sent < size);
    if (r < 0)
        refuse(run, client, -r, clock_ns());
}

static void record(struct run *run, struct client *client)
{
    struct load_result *result = run->result;
    client->call = NULL;
    result->begun++;
    if (result->n_calls == run->plan->calls_room)
        return;
    client->call = &run->plan->calls[result->n_calls++];
    *client->call = (struct load_call){ .called_ns = client->called_ns };
}

static void go_on(struct run *run, struct client *client, uint64_t now_ns)
{
    line_join(&run->asking, &client->place, now_ns);
    if (client->fd < 0 && !call(run, client, now_ns))
        return;
    if (client->call)
        connection_note_port(client);
    ask(run, client);
}

void client_begin(struct run *run, struct client *client, uint64_t due_ns, uint64_t now_ns)
{
    const struct load_plan *plan = run->plan;
    client->number = ++run->begun;
    client->due_ns = due_ns;
    client->called_ns = now_ns;
    client->answer = (struct answer){ .size = 0 };
    client->sent = 0;
    client->busy = true;
    client->called_again = false;
    client->poison = plan->poison && run->begun % plan->poison_each == 0;
    client->call = NULL;
    run->outstanding++;
    if (!client->poison)
        record(run, client);
    go_on(run, client, now_ns);
}

/* --- hearing ------------------------------------------------------------------------------------------------------ */

static size_t keep_beginning(char *kept, const char *bytes, size_t size)
{
    size_t n = size < LOAD_EXAMPLE_SIZE ? size : LOAD_EXAMPLE_SIZE;
    memcpy(kept, bytes, n);
    return n;
}

/* Where a large answer comes in pieces, the first wrong one. */
static void keep_example(const struct run *run, const struct client *client, size_t size)
{
    struct load_example *example = &run->result->example;
    char line[DIALOGUE_LINE_SIZE];
    size_t question_size;
    if (example->question_size > 0)
        return;
    const char *text = question(run, client, line, &question_size);
    example->answer_size = keep_beginning(example->answer, run->buffer, size);
    example->question_size = keep_beginning(example->question, text, question_size);
}

static void hear(struct run *run, struct client *client)
{
    ssize_t n = recv(client->fd, run->buffer, RUN_BUFFER_SIZE, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0 || (n == 0 && run->stream)) {
        break_off(run, client, errno);
        return;
    }
    if (client->poison)
        return;
    enum verdict verdict = dialogue_check(&run->plan->dialogue, client->number, &client->answer, run->buffer,
                                          (size_t)n);
    if (client->spoiled || verdict == ANSWER_WRONG || (verdict == ANSWER_PART && !run->stream)) {
        keep_example(run, client, (size_t)n);
        fail(run, client, &run->result->wrong, clock_ns());
    } else if (verdict == ANSWER_WHOLE) {
        succeed(run, client, clock_ns());
    }
}

/* A client that has asked nothing, or a slow one. */
static void overhear(struct run *run, struct client *client)
{
    ssize_t n = recv(client->fd, run->buffer, RUN_BUFFER_SIZE, 0);
    if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)) || (n == 0 && !run->stream)) {
        client->spoiled |= n >= 0;
        return;
    }
    connection_hang_up(client);
    if (client->slow)
        line_join(&run->resting, &client->place, clock_ns());
}

void client_event(struct run *run, struct client *client, uint32_t events)
{
    if (client->fd < 0)
        return;
    if (!client->busy) {
        overhear(run, client);
        return;
    }
    if (client->watched_out && (events & ~(uint32_t)EPOLLIN))
        ask(run, client);
    if (client->busy && client->fd >= 0 && (events & ~(uint32_t)EPOLLOUT))
        hear(run, client);
}

void client_wake(struct run *run, struct client *client, uint64_t now_ns)
{
    if (client->slow)
        slow_dial(run, client, now_ns);
    else if (!client->busy)
        line_join(&run->free, &client->place, now_ns);
    else if (now_ns - client->called_ns >= run->plan->patience_ns)
        client_give_up(run, client, now_ns);
    else
        go_on(run, client, now_ns);
}
