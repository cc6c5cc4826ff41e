/* The load generator: which answers are right, and how it learns them. */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include "../../tools/load/learn.h"
#include "answering.h"

#define BIG (3 << 20)

TestSuite(load_answers, .timeout = 600);

/* --- answers ------------------------------------------------------------------------------------------------------ */

/* How reply() answers each line. */
static struct {
    const char *text;
    size_t size, piece_size;
    int pause_ms;               /* before each piece but the first */
    bool hangs_up;              /* behind it */
} script;

static int reply(struct sb_request *request)
{
    char line[256];
    sb_setsockopt(request, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
    while (sb_readline(request, line, sizeof line) > 0) {
        if (!strchr(line, '\n'))
            continue;
        for (size_t sent = 0; sent < script.size; sent += script.piece_size) {
            size_t left = script.size - sent;
            if ((sent > 0 && script.pause_ms > 0 && sb_sleep(request, script.pause_ms) < 0) ||
                sb_sendall(request, script.text + sent, left < script.piece_size ? left : script.piece_size) < 0)
                return 0;
        }
        if (script.hangs_up)
            break;
    }
    return 0;
}

static struct load_result *ask(struct load_plan plan, const char *text, bool hangs_up)
{
    script.text = text;
    script.size = strlen(text);
    script.piece_size = 2;
    script.hangs_up = hangs_up;
    plan.count = 20;
    return run(&plan);
}

Test(load_answers, that_are_a_line_may_say_anything)
{
    struct load_plan plan = serve_with(reply, "tcp://127.0.0.1:0");
    plan.dialogue = (struct load_dialogue){ .expects = LOAD_LINE, .question = "what?\n", .question_size = 6 };
    cr_expect_eq(ask(plan, "whatever\n", false)->answered, 20);
    cr_expect_eq(ask(plan, "\n", false)->answered, 20);
    cr_expect_eq(ask(plan, "no end", true)->cut_off, 20);
    script.piece_size = 100;
    cr_expect_eq(ask(plan, "", true)->cut_off, 20);
    end_server();
}

Test(load_answers, that_are_a_text_must_be_this_very_text)
{
    struct load_plan plan = serve_with(reply, "tcp://127.0.0.1:0");
    plan.dialogue = (struct load_dialogue){ .expects = LOAD_TEXT, .question = "what?\n", .question_size = 6,
                                            .answer = "it\0is", .answer_size = 5 };
    script.size = 5;
    script.piece_size = 1;
    script.text = "it\0is";
    cr_expect_eq(run(&plan)->answered, 40);
    plan.dialogue.answer = "itself";
    plan.dialogue.answer_size = 6;
    cr_expect_eq(ask(plan, "itself", false)->answered, 20);
    cr_expect_eq(ask(plan, "itself", true)->answered, 20);
    cr_expect_eq(ask(plan, "itselF", false)->wrong, 20);
    cr_expect_eq(ask(plan, "its", true)->cut_off, 20);
    cr_expect_eq(ask(plan, "", true)->cut_off, 20);
    plan.patience_ns = plan.grace_ns = MS_NS;
    cr_expect_eq(ask(plan, "its", false)->unanswered, 20);
    end_server();
}

Test(load_answers, with_more_behind_them_are_wrong_even_if_it_comes_later)
{
    struct load_plan plan = serve_with(reply, "tcp://127.0.0.1:0");
    plan.dialogue = (struct load_dialogue){ .expects = LOAD_TEXT, .question = "what?\n", .question_size = 6,
                                            .answer = "it!", .answer_size = 2 };
    plan.talk = true;
    plan.clients = 1;
    /* The "!" comes with its answer, or before the next one, and then the client hangs up. */
    cr_expect_geq(ask(plan, "it!", false)->wrong, 10);
    plan.rate = 100;
    script.pause_ms = 1;
    cr_expect_geq(ask(plan, "it!", false)->wrong, 10);
    end_server();
}

Test(load_answers, in_a_datagram_are_whole)
{
    struct load_plan plan = serve_with(upper, "udp://127.0.0.1:0");
    plan.dialogue = (struct load_dialogue){ .expects = LOAD_TEXT, .question = "what?\n", .question_size = 6,
                                            .answer = "WHAT?\n", .answer_size = 6 };
    cr_expect_eq(run(&plan)->answered, 40);
    plan.dialogue.answer = "WHAT?\nWHAT?\n";
    plan.dialogue.answer_size = 12;
    cr_expect_eq(run(&plan)->wrong, 40);
    end_server();
}

Test(load_answers, that_are_numbers_end_with_their_line)
{
    struct load_plan plan = serve_with(reply, "tcp://127.0.0.1:0");
    plan.dialogue = (struct load_dialogue){ .expects = LOAD_NUMBER, .question = "how many?\n", .question_size = 10 };
    struct load_result *result = ask(plan, "18446744073709551615\n", false);
    cr_expect_eq(result->answered, 20);
    cr_expect_eq(result->largest_number, UINT64_MAX);
    cr_expect_eq(ask(plan, "0\n", false)->answered, 20);
    cr_expect_eq(ask(plan, "18446744073709551616\n", false)->wrong, 20);
    cr_expect_eq(ask(plan, "4x2\n", false)->wrong, 20);
    cr_expect_eq(ask(plan, "-1\n", false)->wrong, 20);
    cr_expect_eq(ask(plan, "\n", false)->wrong, 20);
    cr_expect_eq(ask(plan, "42", true)->cut_off, 20);
    end_server();
}

Test(load_answers, may_be_large)
{
    struct load_plan plan = serve_with(reply, "tcp://127.0.0.1:0");
    char *text = malloc(BIG), *other = malloc(BIG);
    for (size_t i = 0; i < BIG; i++)
        text[i] = other[i] = (char)(i % 251);
    other[BIG - 1]++;
    plan.dialogue = (struct load_dialogue){ .expects = LOAD_TEXT, .question = "all\n", .question_size = 4,
                                            .answer = text, .answer_size = BIG };
    script.text = text;
    script.size = BIG;
    script.piece_size = 100000;
    cr_expect_eq(run(&plan)->answered, 40);
    script.text = other;
    cr_expect_eq(run(&plan)->wrong, 40);
    script.size = BIG - 1;
    script.hangs_up = true;
    cr_expect_eq(run(&plan)->cut_off, 40);
    end_server();
    free(text);
    free(other);
}

Test(load_answers, may_follow_a_question_as_large_as_a_datagram)
{
    char *question = malloc(LOAD_QUESTION_SIZE_MAX);
    struct load_plan plan = serve_with(reply, "tcp://127.0.0.1:0");
    memset(question, 'a', LOAD_QUESTION_SIZE_MAX);
    question[LOAD_QUESTION_SIZE_MAX - 1] = '\n';
    script.text = "well\n";
    script.size = script.piece_size = 5;
    script.hangs_up = true;
    plan.dialogue = (struct load_dialogue){ .expects = LOAD_TEXT, .question = question,
                                            .question_size = LOAD_QUESTION_SIZE_MAX, .answer = "well\n",
                                            .answer_size = 5 };
    cr_expect_eq(run(&plan)->answered, 40);
    end_server();
    free(question);
}

/* --- learning ----------------------------------------------------------------------------------------------------- */

/* Answers with all it has heard, when the caller has ended. */
static int answer_at_the_end(struct sb_request *request)
{
    char line[256];
    size_t size = 0;
    for (ssize_t n; (n = sb_recv(request, line + size, sizeof line - size)) > 0;)
        size += (size_t)n;
    return sb_sendall(request, line, size);
}

static void expect_learned(const struct load_plan *plan, const char *question, const char *answer, size_t answer_size)
{
    char *learned = NULL;
    size_t size = 0;
    cr_assert_eq(load_learn(&plan->address, question, strlen(question), 120000, &learned, &size), 0);
    cr_expect_eq(size, answer_size);
    cr_expect(size == answer_size && memcmp(learned, answer, size) == 0);
    free(learned);
}

Test(load_answers, are_learned_whole)
{
    static char text[BIG];
    struct load_plan plan = serve_with(answer_at_the_end, "tcp://127.0.0.1:0");
    expect_learned(&plan, "what?", "what?", 5);
    end_server();
    plan = serve_with(reply, "unix:@switchboard-load-test");
    memset(text, 'x', BIG);
    script.text = text;
    script.size = BIG;
    script.piece_size = 70000;
    expect_learned(&plan, "all\n", text, BIG);
    end_server();
    plan = serve_with(upper, "udp://127.0.0.1:0");
    expect_learned(&plan, "what?\n", "WHAT?\n", 6);
    end_server();
    plan = serve_with(upper, "unixgram:@switchboard-load-test");
    expect_learned(&plan, "what?\n", "WHAT?\n", 6);
    end_server();
}

static int say_nothing(struct sb_request *request)
{
    (void)request;
    return 0;
}

/* Far more than 16 MiB, in the end. */
static int talk_on(struct sb_request *request)
{
    static const char text[1 << 20];
    while (sb_sendall(request, text, sizeof text) >= 0)
        ;
    return 0;
}

static void expect_not_learned(const struct load_plan *plan, int timeout_ms, int error)
{
    char *learned = NULL;
    size_t size = 7;
    cr_expect_eq(load_learn(&plan->address, "what?\n", 6, timeout_ms, &learned, &size), error);
    cr_expect(learned == NULL && size == 7);
}

Test(load_answers, are_not_learned_where_there_are_none)
{
    struct load_plan plan = serve_with(say_nothing, "tcp://127.0.0.1:0");
    expect_not_learned(&plan, 120000, -ENODATA);
    end_server();
    expect_not_learned(&plan, 120000, -ECONNREFUSED);
    plan = serve_with(talk_on, "tcp://127.0.0.1:0");
    expect_not_learned(&plan, 120000, -EMSGSIZE);
    end_server();
    plan = serve_with(silent, "udp://127.0.0.1:0");
    expect_not_learned(&plan, 20, -ETIMEDOUT);
    end_server();
}
