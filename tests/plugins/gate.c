/* A strategy from a plugin: an override that lets only every second request in. */
#include <switchboard/switchboard.h>

struct state {
    long every, seen;
};

static const struct sb_class gate;

static int init(struct sb_server *server, const char *argument)
{
    struct state *state = sb_state(server, &gate);
    state->every = sb_parse_count(server, &gate, argument, 2, 100);
    return state->every < 0 ? (int)state->every : 0;
}

static bool verify_request(struct sb_request *request)
{
    struct state *state = sb_state(sb_request_server(request), &gate);
    return ++state->seen % state->every == 0;
}

static const struct sb_class gate = {
    .name = "gate",
    .summary = "lets every N-th request in",
    .state_size = sizeof(struct state),
    .init = init,
    .verify_request = verify_request,
};

SB_CLASS(gate);
