/* talk: one question, one answer; the log keeps the time, the caller and the question. */
#include <sys/time.h>
#include <time.h>
#include <switchboard/switchboard.h>
#include "terminal.h"

enum { QUESTION_SIZE = 1000 };

static int log_question(struct sb_request *request, const char *question, size_t size)
{
    char when[sizeof "2000-01-01 00:00:00"] = "";
    struct timeval now;
    struct tm local;
    char *line;
    gettimeofday(&now, NULL);
    if (!localtime_r(&now.tv_sec, &local))
        return -errno;
    strftime(when, sizeof when, "%F %T", &local);
    int length = asprintf(&line, "AT %s.%06ld %s Said %.*s", when, (long)now.tv_usec, sb_client_name(request),
                          (int)size, question);
    if (length < 0)
        return -ENOMEM;
    make_harmless(line, length, "");
    sb_server_log(sb_request_server(request), SB_LOG_INFO, "%s", line);
    free(line);
    return 0;
}

static int handle(struct sb_request *request)
{
    static const char answer[] = "Are you want to talk to me";
    char question[QUESTION_SIZE];
    size_t size;
    int r = sb_recv_message(request, question, sizeof question, &size);
    if (r <= 0)
        return r;
    size = without_newline(question, size);
    make_harmless(question, size, "");
    r = log_question(request, question, size);
    return r < 0 ? r : sb_send_message(request, answer, sizeof answer - 1);
}

static const struct sb_option option_table[] = { SB_FRAME_OPTION, { .name = NULL } };

SB_HANDLER(.name = "talk", .summary = "logs one question and answers it", .traits = SB_CALLER_FIRST,
           .options = option_table, .handle = handle);
