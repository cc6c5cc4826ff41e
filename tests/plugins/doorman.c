/* A handler mix-in: asks for a word in setup, then lets the handler behind it talk, and counts in finish. */
#include <errno.h>
#include <string.h>
#include <switchboard/switchboard.h>

struct options {
    const char *word;
    long unused;
};

static const struct sb_option options[] = {
    { .name = "word", .type = SB_OPTION_STRING, .offset = offsetof(struct options, word), .value = "sesame",
      .help = "what a caller must say first" },
    { .name = "max", .type = SB_OPTION_LONG, .offset = offsetof(struct options, unused), .min = 1, .max = 9,
      .help = "shares its name with an option of bytes" },
    { 0 },
};

static int setup(struct sb_request *request)
{
    const struct options *own = sb_options(request, &sb_handler);
    char line[64];
    ssize_t n = sb_readline(request, line, sizeof line);
    if (n < 0)
        return n;
    line[strcspn(line, "\n")] = '\0';
    if (strcmp(line, own->word) != 0)
        return -EACCES;
    *(int *)sb_instance(request, &sb_handler) = 1;
    return sb_super_setup(request, &sb_handler);
}

static int finish(struct sb_request *request)
{
    int admitted = *(int *)sb_instance(request, &sb_handler);
    int r = sb_super_finish(request, &sb_handler);
    return r < 0 ? r : sb_printf(request, "goodbye %d\n", admitted);
}

SB_HANDLER(.name = "doorman", .summary = "asks for a word first", .traits = SB_STREAM_ONLY, .options = options,
           .options_size = sizeof(struct options), .instance_size = sizeof(int), .setup = setup, .finish = finish);
