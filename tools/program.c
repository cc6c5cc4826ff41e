#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <switchboard/generation.h>
#include <unistd.h>

#include "init.h"
#include "signals.h"

static const char *program_name;
static bool is_child;       /* whose parent says where nothing can be written */
static int lost;            /* -errno: output was lost; 0: none that we know of */

void program_rename(const char *name)
{
    program_name = name;
}

/* --- output ------------------------------------------------------------------------------------------------------- */

/* The first loss counts. Where stdio has seen it long ago, nobody knows why. */
static int lose(int error)
{
    if (lost != 0)
        return lost;
    lost = error != 0 ? -error : -EIO;
    if (error != EPIPE)
        fprintf(stderr, "%s: cannot write to standard output: %s\n", program_name, strerror(-lost));
    return lost;
}

void program_fork(void)
{
    is_child = true;
}

int program_flush(void)
{
    errno = 0;
    return fflush(stdout) != 0 || ferror(stdout) ? lose(errno) : 0;
}

void program_mute(void)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null < 0)
        return;
    dup2(null, STDOUT_FILENO);
    close(null);
    clearerr(stdout);
    lost = 0;
}

/* Closed, it has become a descriptor to read from. */
static bool is_writable(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY;
}

/* A close may tell what a write did not (close(2)); a copy's is as good, and who waits for the end of the output does not
 * see it before that of the process. A program that has failed has no output to be missed. */
static void check_output(int status, void *unused)
{
    (void)unused;
    int copy = program_flush() == 0 ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0) : -1;
    if (copy >= 0 && close(copy) < 0)
        lose(errno);
    if (status == 0 && !is_child && !is_writable(STDOUT_FILENO))
        lose(EBADF);
    if (status == 0 && lost != 0)
        _exit(1);
}

/* --- the beginning ------------------------------------------------------------------------------------------------ */

/* A closed 0, 1 or 2 would otherwise become the number of a socket. What is written to a closed 1 shall fail. */
static void fill_standard_descriptors(void)
{
    static const int flags[] = { O_RDWR, O_RDONLY, O_RDWR };
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0) {
            int null = open("/dev/null", flags[fd]);
            if (null > STDERR_FILENO)
                close(null);
        }
}

void program_begin(const char *name)
{
    program_name = name;
    fill_standard_descriptors();
    init_become(name);
    if (!getenv(SB_RENEWAL_VARIABLE))   /* else serve unblocks them, when its handlers are there again */
        signals_unblock();
    on_exit(check_output, NULL);
}
