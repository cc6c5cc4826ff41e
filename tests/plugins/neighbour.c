/* A bad neighbour: does to its process what the word that it receives says. "who" it answers with its process, any other
 * with "OK". */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <switchboard/switchboard.h>
#include <sys/stat.h>
#include <unistd.h>

static int close_all(void)
{
    return close_range(0, ~0U, 0);
}

static int fork_and_return(void)
{
    fork();
    return 0;
}

static int block_signals(void)
{
    sigset_t all;
    sigfillset(&all);
    return pthread_sigmask(SIG_SETMASK, &all, NULL);
}

__attribute__((noinline)) static int eat_stack(volatile char *above)
{
    volatile char room[4096];
    room[0] = *above;
    return room[0] == 1 ? 0 : eat_stack(room) + room[0];
}

static void *stay(void *argument)
{
    for (;;)
        pause();
    return argument;
}

static int leave_thread(void)
{
    pthread_t thread;
    return pthread_create(&thread, NULL, stay, NULL) || pthread_detach(thread);
}

static int move_away(void)
{
    umask(0777);
    return chdir("/") || setegid(65534) || seteuid(65534);
}

static int act(struct sb_request *request, const char *word)
{
    char here = 0;
    if (strcmp(word, "close") == 0)
        return close(sb_fileno(request));
    if (strcmp(word, "close-all") == 0)
        return close_all();
    if (strcmp(word, "fork") == 0)
        return fork_and_return();
    if (strcmp(word, "exit") == 0)
        exit(7);
    if (strcmp(word, "segv") == 0)
        return raise(SIGSEGV);
    if (strcmp(word, "block") == 0)
        return block_signals();
    if (strcmp(word, "stack") == 0)
        return eat_stack(&here);
    if (strcmp(word, "thread") == 0)
        return leave_thread();
    return strcmp(word, "move") == 0 ? move_away() : 0;
}

static int handle(struct sb_request *request)
{
    char word[32];
    ssize_t n;
    while ((n = sb_recv(request, word, sizeof word - 1)) > 0) {
        word[n] = '\0';
        if (act(request, word) != 0)
            return -1;
        int r = strcmp(word, "who") == 0 ? sb_printf(request, "%d\n", (int)getpid()) : sb_printf(request, "OK\n");
        if (r < 0)
            return r;
    }
    return n;
}

SB_HANDLER(.name = "neighbour", .summary = "does harm to its process", .handle = handle);
