/* What the echo servers of the benchmarks share. Each listens on 127.0.0.1, says where on standard output in the words
 * of `switchboard serve`, answers in capitals, and ends on SIGTERM. */
#ifndef BENCH_ECHO_H
#define BENCH_ECHO_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static inline void die(const char *what)
{
    fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
    exit(1);
}

static inline void upper(char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (text[i] >= 'a' && text[i] <= 'z')
            text[i] -= 'a' - 'A';
}

static inline void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        die("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        die("setrlimit");
}

/* A socket of this type, SOCK_STREAM or SOCK_DGRAM with flags, on a port that the kernel chooses. */
static inline int listen_somewhere(int type)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        ((type & SOCK_STREAM) && listen(fd, SOMAXCONN) < 0))
        die("cannot listen on 127.0.0.1");
    return fd;
}

/* When everything is ready to serve. */
static inline void announce(int fd, const char *design)
{
    struct sockaddr_in address;
    socklen_t size = sizeof(address), type_size = sizeof(int);
    int type = SOCK_STREAM;
    if (getsockname(fd, (struct sockaddr *)&address, &size) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_size) < 0)
        die("getsockname");
    printf("listening %s://127.0.0.1:%d handler=upper strategy=%s pid=%d\n", type == SOCK_DGRAM ? "udp" : "tcp",
           ntohs(address.sin_port), design, (int)getpid());
    fflush(stdout);
}

static inline void end_at_once(int signal)
{
    (void)signal;
    _exit(0);
}

static inline void end_on_sigterm(void)
{
    sigaction(SIGTERM, &(struct sigaction){ .sa_handler = end_at_once }, NULL);
}

#endif
