/* A strategy from a plugin that keeps something for each request: its number, and a pattern around it. What is not
 * zeroed at the beginning, or changed by somebody else, is said at the end. */
#include <stdatomic.h>
#include <string.h>
#include <switchboard/switchboard.h>

struct mark {
    unsigned char before[40];
    unsigned number;
    unsigned char behind[40];
};

struct state {
    atomic_uint requests;
};

static const struct sb_class stamp;

static bool is_filled(const unsigned char *bytes, size_t size, unsigned char value)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != value)
            return false;
    return true;
}

static bool verify_request(struct sb_request *request)
{
    struct sb_server *server = sb_request_server(request);
    struct state *state = sb_state(server, &stamp);
    struct mark *mark = sb_request_state(request, &stamp);
    if (!is_filled((unsigned char *)mark, sizeof *mark, 0))
        sb_server_log(server, SB_LOG_ERROR, "stamp: what a request begins with is not zeroed");
    memset(mark, 0xa5, sizeof *mark);
    mark->number = atomic_fetch_add(&state->requests, 1) + 1;
    return sb_super(server, &stamp)->verify_request(request);
}

static void shutdown_request(struct sb_request *request)
{
    struct sb_server *server = sb_request_server(request);
    const struct mark *mark = sb_request_state(request, &stamp);
    bool whole = is_filled(mark->before, sizeof mark->before, 0xa5) &&
                 is_filled(mark->behind, sizeof mark->behind, 0xa5);
    sb_server_log(server, SB_LOG_WARNING, "stamp: request %u %s", mark->number,
                  whole ? "is whole" : "was written over");
    sb_super(server, &stamp)->shutdown_request(request);
}

static const struct sb_class stamp = {
    .name = "stamp",
    .summary = "numbers the requests",
    .state_size = sizeof(struct state),
    .request_size = sizeof(struct mark),
    .verify_request = verify_request,
    .shutdown_request = shutdown_request,
};

SB_CLASS(stamp);
