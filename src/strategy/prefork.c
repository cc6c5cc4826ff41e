/* N processes that each accept for themselves (UNP 30, designs 2 to 5), looked after by their parent. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../channel.h"
#include "../child.h"
#include "../drain.h"
#include "../gate.h"
#include "../ground/clock.h"
#include "../handlers.h"
#include "../ready.h"
#include "../verbs/peer.h"

/* A worker that dies sooner than this after its start is started again with a delay that doubles each time. */
#define EARLY_DEATH_MS 1000
#define FIRST_DELAY_MS 100
#define LAST_DELAY_MS 5000

struct worker {
    struct sb_child *child;     /* NULL: none, one is due at start_ns */
    int64_t start_ns;
    int early_deaths;           /* in a row, until one lives on */
};

struct state {
    int processes;
    struct worker *workers;
    struct sb_children children;    /* the workers', and retired ones that still finish their requests */
    int why;                        /* the last worker could not begin to serve: -errno */
};

static int init(struct sb_server *server, const char *argument)
{
    struct state *state = sb_state(server, &sb_prefork_mixin);
    state->processes = sb_parse_count(server, &sb_prefork_mixin, argument, sb_prefork_mixin.workers, 10000);
    if (state->processes < 0)
        return state->processes;
    server->crew.loops *= state->processes;
    server->crew.slots = 1 + (server->crew.slots + 1) * state->processes * 2;
    state->workers = calloc(state->processes, sizeof *state->workers);
    return state->workers ? 0 : -ENOMEM;
}

static void finish(struct sb_server *server)
{
    struct state *state = sb_state(server, &sb_prefork_mixin);
    free(state->workers);
}

/* --- in the worker ------------------------------------------------------------------------------------------------ */

static int limit_worker(struct sb_server *server, const struct state *state, unsigned worker)
{
    const struct sb_config *config = &server->config;
    int share = config->max_connections / state->processes +
                ((int)worker < config->max_connections % state->processes);
    sb_places_set_limit(&server->books.places, MIN(server->books.places.limit, MAX(share, 1)));
    if (config->max_requests == 0)
        return 0;
    int accepts = config->max_requests + (int)arc4random_uniform(config->max_requests / 8 + 1);
    return sb_signals_expect_retirement(&server->signals, accepts);
}

static int run(struct sb_server *server, struct sb_child *child)
{
    struct state *state = sb_state(server, &sb_prefork_mixin);
    if (getppid() != child->parent)
        return 1;
    sb_worker.index = child->worker;
    sb_channel_leave(server);
    int r = limit_worker(server, state, child->worker);
    if (r == 0)
        r = sb_super(server, &sb_prefork_mixin)->serve_forever(server);
    sb_slot_enter(child->slot, SB_CLOSING);
    methods(server)->server_close(server);
    return r < 0 ? sb_child_failure_status(r) : 0;
}

/* --- in the parent ------------------------------------------------------------------------------------------------ */

static void start_worker(struct sb_server *server, struct state *state, int n)
{
    struct worker *worker = &state->workers[n];
    struct sb_child *child = calloc(1, sizeof *child);
    int r = -ENOMEM;
    if (child) {
        child->worker = n;
        child->born_ns = sb_now_ns();
        r = sb_child_start(server, &state->children, child, run);
    }
    if (r < 0) {
        free(child);
        worker->start_ns = sb_deadline_ns(EARLY_DEATH_MS);
        sb_shortage_begins(&server->shortage, &server->log, "cannot start a worker process", r);
        return;
    }
    if (worker->early_deaths == 0)
        sb_shortage_ends(&server->shortage, &server->log);
    worker->child = child;
}

static bool lives_on(const struct sb_child *child)
{
    return child->born_ns + EARLY_DEATH_MS * INT64_C(1000000) <= sb_now_ns();
}

static void schedule(struct worker *worker, const struct sb_child *child)
{
    bool failed = child->status != 0;
    worker->early_deaths = failed && !lives_on(child) ? worker->early_deaths + 1 : 0;
    int delay_ms = 0;
    if (worker->early_deaths > 0)
        delay_ms = MIN(FIRST_DELAY_MS << MIN(worker->early_deaths - 1, 10), LAST_DELAY_MS);
    worker->child = NULL;
    worker->start_ns = sb_deadline_ns(delay_ms);
}

/* " while serving 127.0.0.1:4711 and 3 more": who loses a connection with this process. */
static void describe_callers(struct sb_server *server, pid_t pid, char *text, size_t size)
{
    struct sb_address address, other;
    char peer[SB_ADDRESS_TEXT_SIZE];
    unsigned count = 0;
    for (unsigned i = 0; i < server->crew.board->slot_count; i++) {
        const struct sb_slot *slot = sb_scoreboard_slot(server->crew.board, i);
        if (slot->pid != pid || slot->state < SB_READING || slot->state > SB_CLOSING)
            continue;
        count += sb_slot_peer(slot, count == 0 ? &address : &other);
    }
    text[0] = '\0';
    if (count == 0)
        return;
    sb_address_format_peer(&address, peer);
    sb_make_harmless(peer, strlen(peer));
    if (count == 1)
        snprintf(text, size, " while serving %s", peer);
    else
        snprintf(text, size, " while serving %s and %u more", peer, count - 1);
}

static void report(struct sb_server *server, const struct sb_child *child)
{
    char how[96], callers[SB_ADDRESS_TEXT_SIZE + 64];
    int signo = WTERMSIG(child->status);
    if (WIFSIGNALED(child->status))
        snprintf(how, sizeof how, "was killed by signal %d (%s)", signo, strsignal(signo));
    else
        snprintf(how, sizeof how, "exited with status %d", WEXITSTATUS(child->status));
    describe_callers(server, child->pid, callers, sizeof callers);
    sb_server_log(server, SB_LOG_ERROR, "worker %u (pid %d) %s in handler %s%s", child->worker, (int)child->pid, how,
                  sb_server_handler_name(server), callers);
}

static void bury(struct sb_server *server, struct sb_child *child)
{
    sb_slots_bury(&server->crew, child->pid);
    free(child);
}

static void reap_workers(struct sb_server *server, struct state *state)
{
    struct sb_child *child;
    while ((child = sb_child_reap(server, &state->children)) != NULL) {
        struct worker *worker = &state->workers[child->worker];
        state->why = sb_child_failure(child);
        if (state->why == 0 && child->status != 0)
            report(server, child);
        if (worker->child == child)
            schedule(worker, child);
        bury(server, child);
    }
}

static int count_retired(const struct state *state)
{
    const struct sb_child *child;
    int count = 0;
    LIST_FOREACH(child, &state->children.list, link)
        count += state->workers[child->worker].child != child;
    return count;
}

/* A worker that retires, but still has requests, is replaced at once; as many as there are workers may be under way so,
 * lest callers that never leave pile up processes. */
static void release_retired(struct sb_server *server, struct state *state)
{
    int count = count_retired(state);
    sb_wakeup_clear(&server->signals.notice);
    for (int i = 0; i < state->processes && count < state->processes; i++) {
        struct worker *worker = &state->workers[i];
        if (worker->child && __atomic_load_n(&worker->child->slot->retired, __ATOMIC_RELAXED)) {
            worker->child = NULL;
            worker->start_ns = 0;
            count++;
        }
    }
}

/* One that had died early lives on. */
static void forgive(struct sb_server *server, struct worker *worker)
{
    if (worker->child && worker->early_deaths > 0 && lives_on(worker->child)) {
        worker->early_deaths = 0;
        sb_shortage_ends(&server->shortage, &server->log);
    }
}

static int start_due(struct sb_server *server, struct state *state)
{
    int64_t next_ns = NEVER;
    for (int i = 0; i < state->processes; i++) {
        struct worker *worker = &state->workers[i];
        forgive(server, worker);
        if (!worker->child && worker->start_ns <= sb_now_ns())
            start_worker(server, state, i);
        if (!worker->child)
            next_ns = MIN(next_ns, worker->start_ns);
        else if (worker->early_deaths > 0)
            next_ns = MIN(next_ns, worker->child->born_ns + EARLY_DEATH_MS * INT64_C(1000000));
    }
    return sb_remaining_ms(next_ns);
}

/* No worker has ever begun to serve, and each has tried. */
static bool is_hopeless(const struct sb_server *server, const struct state *state)
{
    bool hopeless = state->why < 0 && !sb_is_ready(server);
    for (int i = 0; hopeless && i < state->processes; i++)
        hopeless = state->workers[i].early_deaths > 0;
    return hopeless;
}

/* While none serves yet that is what the server itself will fail for, and says. */
static void report_failure(struct sb_server *server, struct state *state)
{
    if (state->why == 0 || !sb_is_ready(server))
        return;
    sb_shortage_begins(&server->shortage, &server->log, "a worker cannot begin to serve", state->why);
    state->why = 0;
}

static int supervise(struct sb_server *server, struct state *state)
{
    struct sb_gate gate;
    struct sb_request *request;
    int r = sb_gate_open(&gate, server, SB_GATE_SUPERVISOR);
    if (r < 0)
        return r;
    while ((r = sb_gate_next(&gate, start_due(server, state), &request)) >= 0) {
        if (r == 1)
            sb_channel_send(server, request);
        reap_workers(server, state);
        release_retired(server, state);
        sb_ready_tell(server);
        report_failure(server, state);
        methods(server)->service_actions(server);
        if (is_hopeless(server, state)) {
            r = state->why;
            break;
        }
    }
    sb_gate_close(&gate);
    return r == -ECANCELED ? 0 : r;
}

static int prepare(struct sb_server *server, struct state *state)
{
    state->why = 0;
    memset(state->workers, 0, state->processes * sizeof *state->workers);
    int r = sb_children_open(server);
    if (r == 0 && server->signals.notice.fd < 0)
        r = sb_wakeup_init(&server->signals.notice, 0);
    if (r == 0 && server->config.accept == SB_ACCEPT_PASS)
        r = sb_channel_open(server);
    return r;
}

/* The workers cut off their own requests at the drain deadline, and then need a moment to end. */
static int patience_ms(const struct sb_server *server)
{
    int drain_ms = sb_drain_ms(server);
    return drain_ms < 0 ? -1 : drain_ms + CUT_GRACE_MS;
}

static int serve_forever(struct sb_server *server)
{
    struct state *state = sb_state(server, &sb_prefork_mixin);
    int r = prepare(server, state);
    if (r == 0)
        r = supervise(server, state);
    sb_signals_stop(&server->signals);  /* after an error too: the workers must end */
    sb_channel_end(server);
    sb_children_drain(server, &state->children, patience_ms(server), bury);
    sb_channel_close(server);
    return r;
}

const struct sb_class sb_prefork_mixin = {
    .name = "prefork",
    .summary = "N processes that each accept and handle: prefork:N",
    .traits = SB_FORKS | SB_LOOPS,
    .state_size = sizeof(struct state),
    .workers = 4,
    .init = init,
    .finish = finish,
    .serve_forever = serve_forever,
};
