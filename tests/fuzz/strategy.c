/* Lists of strategies. An input is a list, "prefork:4+pool:16", perhaps a newline and the name of an accept discipline.
 * Each makes a server at an abstract Unix socket and destroys it: its classes are initialised, closed and finished,
 * their workers are not started. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <switchboard/switchboard.h>
#include <unistd.h>

#include "fuzz.h"

enum { DESCRIPTORS_MAX = 32 };

/* Places in a list. */
enum { WORKERS, LOOPS, DISPATCHES, ALONE };

static const struct strategy {
    const char *name;
    int place;              /* taken by one at most */
    long max;               /* of its count; 0: it has none */
    bool yields;            /* has an engine for an argument */
} strategies[] = {
    { "prefork", WORKERS, 10000, false }, { "prethread", LOOPS, 10000, false }, { "pool", DISPATCHES, 10000, false },
    { "fork", DISPATCHES, 100000, false }, { "thread", DISPATCHES, 0, false }, { "fiber", DISPATCHES, 0, true },
    { "serial", ALONE, 0, false },
};

/* --- what makes sense, told without the library ------------------------------------------------------------------- */

static const struct strategy *find(const char *name)
{
    for (size_t i = 0; i < sizeof strategies / sizeof *strategies; i++)
        if (strcmp(strategies[i].name, name) == 0)
            return &strategies[i];
    return NULL;
}

static bool is_count(const char *text, long max)
{
    long count = 0;
    for (const char *digit = text; *digit; digit++) {
        if (*digit < '0' || *digit > '9')
            return false;
        count = count * 10 + (*digit - '0') <= max ? count * 10 + (*digit - '0') : max + 1;
    }
    return count >= 1 && count <= max;
}

static bool is_argument(const struct strategy *strategy, const char *text)
{
    return strategy->yields ? strcmp(text, "epoll") == 0 || strcmp(text, "uring") == 0 : is_count(text, strategy->max);
}

/* Takes the words out of text, which it changes; chosen[] has room for each place. */
static bool read_list(char *text, const struct strategy *chosen[])
{
    char *word;
    int last = -1;
    while ((word = strsep(&text, "+")) != NULL) {
        char *name = strsep(&word, ":");
        const struct strategy *strategy = find(name);
        if (!strategy || strategy->place <= last || (word && !is_argument(strategy, word)))
            return false;
        last = strategy->place;
        chosen[last] = strategy;
    }
    return true;
}

static bool makes_sense(const char *text, enum sb_discipline accept)
{
    const struct strategy *chosen[ALONE + 1] = { NULL };
    char *copy = strdup(text);
    REQUIRE(copy);
    bool sensible = read_list(copy, chosen);
    free(copy);
    bool forks = chosen[DISPATCHES] && strcmp(chosen[DISPATCHES]->name, "fork") == 0;
    if (!sensible || (chosen[ALONE] && (chosen[WORKERS] || chosen[LOOPS] || chosen[DISPATCHES])))
        return false;
    if (chosen[LOOPS] && forks)
        return false;
    if (accept == SB_ACCEPT_SHARED)
        return true;
    bool takes_turns = accept == SB_ACCEPT_MUTEX || accept == SB_ACCEPT_FLOCK;
    bool yields = chosen[DISPATCHES] && chosen[DISPATCHES]->yields;
    return (chosen[WORKERS] || chosen[LOOPS]) && !(takes_turns && (forks || yields)) && accept != SB_ACCEPT_REUSEPORT;
}

/* --- what the library says ---------------------------------------------------------------------------------------- */

static unsigned sentences;

static void count_sentence(void *data, enum sb_log_level level, const char *text)
{
    (void)data;
    REQUIRE(level == SB_LOG_ERROR && text[0]);
    sentences++;
}

static int handle(struct sb_request *request)
{
    (void)request;
    return 0;
}

static const struct sb_handler handler = { .abi_version = SB_ABI_VERSION, .struct_size = sizeof handler,
                                           .name = "nothing", .handle = handle };

static unsigned count_descriptors(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < DESCRIPTORS_MAX; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void check(const char *text, enum sb_discipline accept)
{
    char address[64];
    struct sb_server *server = NULL;
    struct sb_config config = SB_CONFIG_DEFAULTS;
    config.strategy = text;
    config.accept = accept;
    config.log = count_sentence;
    snprintf(address, sizeof address, "unix:@switchboard-fuzz-%d", (int)getpid());
    sentences = 0;
    unsigned descriptors = count_descriptors();
    int r = sb_server_create(NULL, address, SB_HANDLERS(&handler), &config, &server);
    bool unbuilt = r == -EOPNOTSUPP && strstr(text, "fiber:uring");     /* or the system does not let us */
    REQUIRE(unbuilt || r == (makes_sense(text, accept) ? 0 : -EINVAL));
    REQUIRE((r == 0) == (server != NULL) && sentences == (r < 0));
    REQUIRE(r < 0 || strcmp(sb_server_strategy(server), text) == 0);
    sb_server_destroy(server);
    REQUIRE(count_descriptors() == descriptors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = strndup((const char *)data, size), *newline = strchr(text, '\n');
    int accept = newline ? sb_discipline_parse(newline + 1) : SB_ACCEPT_SHARED;
    REQUIRE(accept >= 0 ? !newline || strcmp(sb_discipline_name(accept), newline + 1) == 0 : accept == -EINVAL);
    if (newline)
        *newline = '\0';
    /* A slash names a file, and loading what a fuzzer names is no test of the parser. */
    if (accept >= 0 && !strchr(text, '/'))
        check(text, accept);
    free(text);
    return 0;
}
