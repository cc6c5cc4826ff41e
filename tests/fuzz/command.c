/* The command lines of the programs. An input is lines: a character, which command ('0' serve, '1' client, '2' load,
 * '3' compare), and each word behind it on a line of its own. A line that makes no sense is one sentence and exit
 * status 1 or 2; of one that does, every number is in its range. The linker puts what is here in the place of exit(3),
 * argp_parse(3), argp_failure(3), and sb_server_create(), which has a target of its own, strategy. */
#include <argp.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "../../tools/client/options.h"
#include "../../tools/compare/contestants.h"
#include "../../tools/compare/options.h"
#include "../../tools/compare/output.h"
#include "../../tools/load/load.h"
#include "../../tools/load/options.h"
#include "../../tools/serve/options.h"
#include "fuzz.h"

enum { WORDS_MAX = 80 };

static jmp_buf refused;
static bool parsing;
static unsigned sentences;

bool page_is_built(void)
{
    return true;
}

/* --- in the place of others --------------------------------------------------------------------------------------- */

void __wrap_exit(int status);
_Noreturn void __real_exit(int status);
error_t __wrap_argp_parse(const struct argp *argp, int argc, char **argv, unsigned flags, int *index, void *input);
error_t __real_argp_parse(const struct argp *argp, int argc, char **argv, unsigned flags, int *index, void *input);
void __wrap_argp_failure(const struct argp_state *state, int status, int error, const char *format, ...);

void __wrap_exit(int status)
{
    if (!parsing)
        __real_exit(status);
    REQUIRE(status == 1);           /* argp's own status is 2, and comes from argp_parse() below */
    longjmp(refused, 1);
}

static argp_parser_t parser;
static jmp_buf failed;

/* A failure must pass by here, lest what argp(3) has allocated is lost. */
static error_t try(int key, char *text, struct argp_state *state)
{
    return setjmp(failed) == 0 ? parser(key, text, state) : EINVAL;
}

/* argp(3) says itself what it does not know, on stderr, and would end the program. */
error_t __wrap_argp_parse(const struct argp *argp, int argc, char **argv, unsigned flags, int *index, void *input)
{
    struct argp tried = *argp;
    parser = argp->parser;
    tried.parser = try;
    error_t error = __real_argp_parse(&tried, argc, argv, flags | ARGP_NO_EXIT | ARGP_NO_ERRS, index, input);
    if (error != 0)
        longjmp(refused, 1);
    return error;
}

void __wrap_argp_failure(const struct argp_state *state, int status, int error, const char *format, ...)
{
    char sentence[8192];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    REQUIRE(state && error == 0 && (status == 1 || status == 2) && length > 10);
    sentences++;
    longjmp(failed, 1);
}

int __wrap_sb_server_create(const struct sb_class *const *type, const char *address,
                            const struct sb_handler *const *handlers, const struct sb_config *config,
                            struct sb_server **ret_server);

int __wrap_sb_server_create(const struct sb_class *const *type, const char *address,
                            const struct sb_handler *const *handlers, const struct sb_config *config,
                            struct sb_server **ret_server)
{
    REQUIRE(!type && address && handlers[0] && config->strategy[0]);
    *ret_server = NULL;
    return 0;
}

/* --- what is promised of a line that makes sense ------------------------------------------------------------------ */

static char *words[WORDS_MAX + 1];
static int n_words;

static bool is_word(const char *text)
{
    for (int i = 1; i < n_words; i++)
        if (text >= words[i] && text <= words[i] + strlen(words[i]))
            return true;
    return false;
}

static void check_list(const char *const *list, size_t most)
{
    size_t n = 0;
    for (; list[n]; n++)
        REQUIRE(n < most && (is_word(list[n]) || strcmp(list[n], "tcp://127.0.0.1:8081") == 0));
}

static void check_seconds_ms(int milliseconds, int unset)
{
    REQUIRE(milliseconds == unset || (milliseconds >= 0 && milliseconds <= 1000000000));
}

static void check_serve(const struct serve_arguments *serve)
{
    const struct sb_config *config = &serve->config;
    REQUIRE(serve->handler && is_word(serve->handler) && serve->addresses[0] && config->options == serve->options);
    check_list(serve->addresses, SERVE_ITEMS_MAX);
    check_list(serve->options, SERVE_ITEMS_MAX);
    REQUIRE(config->strategy && sb_discipline_name(config->accept));
    REQUIRE(config->max_connections >= 1 && config->max_connections <= 1000000);
    REQUIRE(config->queue_size >= 1 && config->max_children >= 1 && config->max_children <= 100000);
    REQUIRE(config->request_queue_size >= 0 && config->request_queue_size <= 65535);
    REQUIRE(config->max_packet_size >= 1 && config->max_packet_size <= 65535);
    REQUIRE(config->stack_size >= 16384 && config->stack_size <= 1 << 30);
    REQUIRE(config->spin_us >= 0 && config->spin_us <= 1000000 && config->trace <= 1000000);
    check_seconds_ms(config->idle_timeout_ms, -1);
    check_seconds_ms(config->drain_timeout_ms, -1);
    check_seconds_ms(config->timeout_ms, -1);
    REQUIRE(config->idle_timeout_ms != 0 && !(serve->once && config->accept == SB_ACCEPT_REUSEPORT));
}

static void check_client(const struct client_options *client)
{
    const struct talk_options *talk = &client->talk;
    check_list(client->address, 1);
    check_list(client->messages, n_words);
    REQUIRE(talk->recv_size >= 1 && talk->recv_size <= CLIENT_RECV_MAX && client->auth.digest);
    REQUIRE(!client->auth.key_file || !client->auth.key_env);
    REQUIRE(!talk->newline || talk->frame != SB_FRAME_LINE);
    REQUIRE(!talk->reply.frame_once || talk->reply.frame != SB_FRAME_NONE);
    REQUIRE(talk->frame == client->framing.caller && talk->reply.frame == client->framing.server);
    check_seconds_ms(talk->timeout_ms, -1);
    check_seconds_ms(client->connect_timeout_ms, -1);
}

static void check_bytes(const char *bytes, size_t size, size_t most)
{
    REQUIRE(!bytes || (size >= 1 && size <= most));
}

static void check_load(const struct load_options *load)
{
    check_list(load->address, 1);
    REQUIRE(load->clients >= 1 && load->clients <= LOAD_CLIENTS_MAX && load->slow < load->clients);
    REQUIRE(load->timeout > 0 && load->seconds >= 0 && (load->rate == 0 || load->rate >= 0.001));
    REQUIRE(!load->answer || load->question);
    check_bytes(load->question, load->question_size, LOAD_QUESTION_SIZE_MAX);
}

static void check_compare(const struct compare_arguments *compare)
{
    const struct match_options *options = &compare->options;
    check_list(options->options, MATCH_OPTIONS_MAX);
    REQUIRE(options->seconds > 0 && options->limit_s >= options->seconds && options->limit_s <= 3600);
    REQUIRE(options->rounds >= 1 && compare->workers <= 1000 && options->clients <= LOAD_CLIENTS_MAX);
    REQUIRE(options->question == compare->question && options->answer == compare->answer);
    REQUIRE(!options->answer || options->question);
    check_bytes(options->question, options->question_size, LOAD_QUESTION_SIZE_MAX);
}

/* The list that compare runs through. */
static void check_contestants(const char *list)
{
    struct match match = { 0 };
    char why[SUBJECT_WHY_SIZE] = "";
    if (!list)
        return;
    int r = contestants_make(list, 4, false, &match, why);
    REQUIRE(r == 0 ? match.n_contestants > 0 : why[0] != '\0' && memchr(why, '\0', sizeof why));
    for (unsigned i = 0; i < match.n_contestants; i++)
        free((char *)match.contestants[i].name);
    free(match.contestants);
}

/* --- the commands ------------------------------------------------------------------------------------------------- */

/* Not on the stack of the function that longjmp() comes back to. */
static struct serve_arguments serve;
static struct client_options client;
static struct load_options load;
static struct compare_arguments compare;

static void parse(int command)
{
    switch (command) {
    case 0:
        serve_arguments_parse(n_words, words, &serve);
        check_serve(&serve);
        break;
    case 1:
        client_options_parse(n_words, words, &client);
        check_client(&client);
        break;
    case 2:
        load_options_parse(n_words, words, &load);
        check_load(&load);
        break;
    default:
        compare_arguments_parse(n_words, words, &compare);
        check_compare(&compare);
        check_contestants(compare.strategies);
    }
}

static void forget(void)
{
    free(client.messages);
    free(load.question);
    free(load.answer);
    free(compare.question);
    free(compare.answer);
    client.messages = NULL;
    load.question = load.answer = compare.question = compare.answer = NULL;
}

/* argp(3) has an option that no help shows, and that only sleeps. */
static bool hangs(const char *word)
{
    return strncmp(word, "--H", 3) == 0;
}

/* What --help and --version print is for nobody. */
static void mute(void)
{
    static FILE *nowhere;
    if (!nowhere)
        nowhere = fopen("/dev/null", "w");
    REQUIRE(nowhere);
    stdout = nowhere;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FILE *out = stdout;
    char *name = program_invocation_name, *short_name = program_invocation_short_name;
    if (size < 1)
        return 0;
    char *text = strndup((const char *)data + 1, size - 1), *rest = text;
    REQUIRE(text);
    words[0] = (char[]){ "switchboard" };
    n_words = 1;
    strsep(&rest, "\n");
    while (rest && n_words < WORDS_MAX) {
        char *word = strsep(&rest, "\n");
        if (!hangs(word))
            words[n_words++] = word;
    }
    words[n_words] = NULL;
    mute();
    sentences = 0;
    parsing = true;
    if (setjmp(refused) == 0)
        parse((data[0] - '0') & 3);
    parsing = false;
    REQUIRE(sentences <= 1);
    stdout = out;
    program_invocation_name = name;         /* --program-name, which no help shows either */
    program_invocation_short_name = short_name;
    forget();
    free(text);
    return 0;
}
