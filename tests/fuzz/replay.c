/* Runs a fuzz target without a fuzzer: replay-TARGET FOLDER_OR_FILE...
 *
 * Each file of a corpus, all that it begins with, and some hundred mutations of it, the same ones in each run. */
#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

enum { SIZE_MAX_BYTES = 65536, MUTATIONS = 400, CHANGES_MAX = 4 };

static unsigned long runs;

/* What runs, for the one line that tells how to run it again. */
static const char *current_file;
static const uint8_t *current;
static size_t current_size;

static void tell(int signo)
{
    static const char digits[] = "0123456789abcdef";
    (void)signo;
    dprintf(STDERR_FILENO, "replay: it broke with %zu bytes, from %s: ", current_size, current_file);
    for (size_t i = 0; i < current_size; i++)
        dprintf(STDERR_FILENO, "\\x%c%c", digits[current[i] >> 4], digits[current[i] & 15]);
    dprintf(STDERR_FILENO, "\n");
}

/* In memory of just that size, so that AddressSanitizer sees a byte too many. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    REQUIRE(copy);
    memcpy(copy, data, size);
    current = copy;
    current_size = size;
    LLVMFuzzerTestOneInput(copy, size);
    current_size = 0;
    free(copy);
    runs++;
}

static uint32_t next(uint32_t *random)
{
    *random ^= *random << 13;
    *random ^= *random >> 17;
    *random ^= *random << 5;
    return *random;
}

/* data has room for one byte more. Returns the new size. */
static size_t change(uint8_t *data, size_t size, uint32_t *random)
{
    size_t at = next(random) % (size + 1), from = next(random) % (size + 1);
    switch (next(random) % 5) {
    case 0:
        data[at] ^= 1 << next(random) % 8;
        return size;
    case 1:
        data[at] = next(random);
        return size;
    case 2:
        memmove(data + at + 1, data + at, size - at);
        data[at] = from < at ? data[from] : next(random);
        return size + 1;
    case 3:
        memmove(data + at, data + at + (at < size), size - at - (at < size));
        return size - (at < size);
    default:
        memmove(data + at, data + from, size - (at > from ? at : from));
        return size;
    }
}

static void run_mutations(const uint8_t *data, size_t size)
{
    uint8_t *mutation = calloc(1, size + CHANGES_MAX + 1);
    uint32_t random = 2463534242;
    REQUIRE(mutation);
    for (int i = 0; i < MUTATIONS; i++) {
        size_t length = size;
        memcpy(mutation, data, size);
        for (int changes = 1 + i % CHANGES_MAX; changes > 0; changes--)
            length = change(mutation, length, &random);
        run(mutation, length);
    }
    free(mutation);
}

static int replay_file(const char *name)
{
    static uint8_t data[SIZE_MAX_BYTES];
    FILE *file = fopen(name, "rb");
    if (!file) {
        perror(name);
        return -1;
    }
    size_t size = fread(data, 1, sizeof data, file);
    fclose(file);
    current_file = name;
    for (size_t length = 0; length <= size; length++)
        run(data, length);
    run_mutations(data, size);
    return 0;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int replay_folder(const char *name)
{
    struct dirent **entries;
    int count = scandir(name, &entries, is_visible, alphasort), r = count;
    if (count < 0)
        perror(name);
    for (int i = 0; i < count; i++) {
        char file[4096];
        snprintf(file, sizeof file, "%s/%s", name, entries[i]->d_name);
        if (r >= 0)
            r = replay_file(file);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    return r;
}

int main(int argc, char **argv)
{
    struct stat status;
    struct sigaction action = { .sa_handler = tell, .sa_flags = SA_RESETHAND };
    sigaction(SIGABRT, &action, NULL);
    for (int i = 1; i < argc; i++) {
        bool folder = stat(argv[i], &status) == 0 && S_ISDIR(status.st_mode);
        if ((folder ? replay_folder(argv[i]) : replay_file(argv[i])) < 0)
            return 1;
    }
    if (runs == 0) {
        fprintf(stderr, "replay: nothing was run: name a folder with a corpus, or files of one\n");
        return 2;
    }
    printf("%lu inputs\n", runs);
    return 0;
}
