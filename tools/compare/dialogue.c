/* What is asked, and what must come back. */
#include "play.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../load/learn.h"

#define LEARN_MS 5000

static int use_own_dialogue(struct play *play)
{
    const struct scenario *scenario = play->match->scenario;
    struct load_dialogue *dialogue = &play->dialogue;
    dialogue->expects = scenario->expects;
    dialogue->question = scenario->question;
    dialogue->question_size = scenario->question ? strlen(scenario->question) : 0;
    dialogue->answer = scenario->answer;
    dialogue->answer_size = scenario->answer ? strlen(scenario->answer) : scenario->answer_size;
    if (!scenario->answer && scenario->answer_size > 0) {
        dialogue->answer = play->answer = malloc(scenario->answer_size);
        if (!play->answer)
            return -ENOMEM;
        memset(play->answer, '.', scenario->answer_size);
    }
    return 0;
}

static int ask_once(const struct subject *subject, const char *question, size_t size, char **ret_answer,
                    size_t *ret_size, char *why)
{
    int r = load_learn(&subject->address, question, size, LEARN_MS, ret_answer, ret_size);
    if (r == -ETIMEDOUT || r == -ENODATA)
        snprintf(why, SUBJECT_WHY_SIZE, "under serial the handler does not answer what it is asked, so there is "
                 "nothing to measure; --send=TEXT says what to ask");
    else if (r < 0)
        snprintf(why, SUBJECT_WHY_SIZE, "cannot ask the handler for its answer: %s", strerror(-r));
    return r;
}

static int check_again(const struct subject *subject, const struct load_dialogue *dialogue, char *why)
{
    char *answer;
    size_t size;
    int r = ask_once(subject, dialogue->question, dialogue->question_size, &answer, &size, why);
    if (r < 0)
        return r;
    if (size != dialogue->answer_size || memcmp(answer, dialogue->answer, size) != 0) {
        snprintf(why, SUBJECT_WHY_SIZE, "the handler answers the same question differently each time, so its answers "
                 "cannot be checked; --send and --expect say what can");
        r = -EINVAL;
    }
    free(answer);
    return r;
}

/* The handler's answer under serial is what every strategy must give; in capitals it is `upper`'s, and then each
 * request can ask something else. */
static int learn_from(struct play *play, const struct subject *subject, char *why)
{
    static const char probe[] = "Hello, switchboard!\n", capitals[] = "HELLO, SWITCHBOARD!\n";
    const struct match_options *options = play->options;
    struct load_dialogue *dialogue = &play->dialogue;
    bool asks = options->question != NULL;
    *dialogue = (struct load_dialogue){ .expects = LOAD_TEXT, .question = asks ? options->question : probe,
                                        .question_size = asks ? options->question_size : sizeof probe - 1 };
    int r = ask_once(subject, dialogue->question, dialogue->question_size, &play->answer, &dialogue->answer_size, why);
    dialogue->answer = play->answer;
    if (r == 0)
        r = check_again(subject, dialogue, why);
    if (r == 0 && !asks && dialogue->answer_size == sizeof capitals - 1 &&
        memcmp(dialogue->answer, capitals, dialogue->answer_size) == 0)
        dialogue->expects = LOAD_CAPITALS;
    return r;
}

static int learn_dialogue(struct play *play, char *why)
{
    const struct contestant serial = { .name = "serial", .strategy = "serial" };
    struct subject_plan plan;
    struct subject subject;
    plan_subject(play, &serial, &plan);
    int r = subject_start(&subject, &plan, play->options->stop, why);
    if (r < 0)
        return r;
    r = learn_from(play, &subject, why);
    subject_stop(&subject);
    subject_free(&subject);
    return r;
}

int play_find_dialogue(struct play *play, char why[SUBJECT_WHY_SIZE])
{
    const struct match_options *options = play->options;
    if (play->match->scenario->handler)
        return use_own_dialogue(play);
    if (!options->answer)
        return learn_dialogue(play, why);
    play->dialogue = (struct load_dialogue){ .expects = LOAD_TEXT, .question = options->question,
                                             .question_size = options->question_size, .answer = options->answer,
                                             .answer_size = options->answer_size };
    return 0;
}
