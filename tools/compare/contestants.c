#include "contestants.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <switchboard/switchboard.h>

#define CONTESTANTS_MAX 64

const char usual_strategies[] = "serial,thread,fork,pool:N,prefork:N,prethread:N,prefork:N@reuseport,"
                                "prethread:N@reuseport,prefork:N+thread,prefork:N+pool:N,prefork:N+fiber,fiber:epoll,"
                                "fiber:uring";

static void keep_log(void *data, enum sb_log_level level, const char *text)
{
    char *why = data;
    if (level == SB_LOG_ERROR && why[0] == '\0')
        snprintf(why, SUBJECT_WHY_SIZE, "%s", text);
}

static int handle_nothing(struct sb_request *request)
{
    (void)request;
    return 0;
}

/* Whether a server of that kind can be made at all. */
static int try_strategy(const struct contestant *contestant, char *why)
{
    static const struct sb_handler nothing = { .abi_version = SB_ABI_VERSION, .struct_size = sizeof nothing,
                                               .name = "nothing", .handle = handle_nothing };
    struct sb_config config = SB_CONFIG_DEFAULTS;
    struct sb_server *server;
    int discipline = contestant->discipline[0] ? sb_discipline_parse(contestant->discipline) : SB_ACCEPT_SHARED;
    if (discipline < 0) {
        snprintf(why, SUBJECT_WHY_SIZE, "there is no accept discipline '%s': it must be shared, mutex, flock, pass or "
                 "reuseport", contestant->discipline);
        return discipline;
    }
    why[0] = '\0';
    config.strategy = contestant->strategy;
    config.accept = discipline;
    config.log = keep_log;
    config.data = why;
    int r = sb_server_create(NULL, "tcp://127.0.0.1:0", SB_HANDLERS(&nothing), &config, &server);
    if (r == 0)
        sb_server_destroy(server);
    return r;
}

/* "prefork+pool:N" to "prefork:4+pool:4". */
static int put_counts(const char *words, unsigned workers, char *text, size_t size)
{
    size_t length = 0;
    while (*words != '\0') {
        size_t word = strcspn(words, "+"), name = strcspn(words, ":+");
        bool named = (name == 4 && strncmp(words, "pool", 4) == 0) ||
                     (name == 7 && strncmp(words, "prefork", 7) == 0) ||
                     (name == 9 && strncmp(words, "prethread", 9) == 0);
        bool counts = named && (word == name || (word == name + 2 && words[name + 1] == 'N'));
        length += counts ? snprintf(text + length, size - length, "%.*s:%u", (int)name, words, workers)
                         : snprintf(text + length, size - length, "%.*s", (int)word, words);
        if (length + 2 >= size)
            return -EINVAL;
        words += word;
        if (*words == '+')
            text[length++] = *words++;
    }
    text[length] = '\0';
    return length > 0 ? 0 : -EINVAL;
}

static int read_name(char *word, unsigned workers, struct contestant *contestant, char *why)
{
    char *discipline = strchr(word, '@'), name[sizeof contestant->strategy + sizeof contestant->discipline];
    if (discipline)
        *discipline++ = '\0';
    int r = put_counts(word, workers, contestant->strategy, sizeof contestant->strategy);
    if (r < 0 || (discipline && strlen(discipline) >= sizeof contestant->discipline)) {
        snprintf(why, SUBJECT_WHY_SIZE, "'%s%s%s' is no strategy: write a list such as serial,prefork:4@reuseport",
                 word,
                 discipline ? "@" : "", discipline ? discipline : "");
        return -EINVAL;
    }
    strcpy(contestant->discipline, discipline ? discipline : "");
    snprintf(name, sizeof name, "%s%s%s", contestant->strategy, discipline ? "@" : "", contestant->discipline);
    contestant->name = strdup(name);
    return contestant->name ? 0 : -ENOMEM;
}

static bool is_twice(const struct match *match, const struct contestant *contestant)
{
    for (unsigned i = 0; i < match->n_contestants; i++)
        if (strcmp(match->contestants[i].name, contestant->name) == 0)
            return true;
    return false;
}

static int add_contestant(char *word, unsigned workers, bool lenient, struct match *match, char *why)
{
    struct contestant *contestant = &match->contestants[match->n_contestants];
    if (match->n_contestants == CONTESTANTS_MAX) {
        snprintf(why, SUBJECT_WHY_SIZE, "at most %d strategies can be compared at a time", CONTESTANTS_MAX);
        return -EINVAL;
    }
    int r = read_name(word, workers, contestant, why);
    if (r == 0 && is_twice(match, contestant)) {
        snprintf(why, SUBJECT_WHY_SIZE, "'%s' is named twice", contestant->name);
        r = -EINVAL;
    }
    if (r == 0)
        r = try_strategy(contestant, why);
    match->n_contestants += r == 0;
    if (r < 0) {
        free((char *)contestant->name);
        *contestant = (struct contestant){ 0 };
    }
    return r < 0 && lenient ? 0 : r;
}

int contestants_make(const char *list, unsigned workers, bool lenient, struct match *match, char why[SUBJECT_WHY_SIZE])
{
    char *words = strdup(list), *rest = words, *word;
    int r = words ? 0 : -ENOMEM;
    match->n_contestants = 0;
    match->contestants = calloc(CONTESTANTS_MAX, sizeof *match->contestants);
    if (!match->contestants)
        r = -ENOMEM;
    while (r == 0 && (word = strsep(&rest, ",")) != NULL)
        r = add_contestant(word + strspn(word, " "), workers, lenient, match, why);
    free(words);
    return r < 0 ? r : 0;
}
