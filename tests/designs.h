/* Every design that the contract holds for: a strategy list with an accept discipline. A strategy added here is under
 * every promise. */
#ifndef DESIGNS_H
#define DESIGNS_H

#include <stdbool.h>
#include <string.h>

struct design {
    char strategy[32], accept[16];
    int at_once;        /* connections it serves at the same time, at least; 1: one after the other */
    bool survives;      /* a handler that crashes costs its own connections only */
    bool streams_only;  /* the discipline needs connections */
    bool internet_only; /* the discipline needs ports */
};

static const struct design designs[] = {
    { "serial", "shared", 1, false, false, false },                 /* UNP 30, design 0: iterative */
    { "fork", "shared", 3, true, false, false },                    /* 1: a process for each client */
    { "prefork:3", "shared", 3, true, false, false },               /* 2: preforked, each calls accept */
    { "prefork:3", "flock", 3, true, false, false },                /* 3: preforked, file lock around accept */
    { "prefork:3", "mutex", 3, true, false, false },                /* 4: preforked, mutex around accept */
    { "prefork:3", "pass", 3, true, true, false },                  /* 5: preforked, descriptor passed */
    { "thread", "shared", 3, false, false, false },                 /* 6: a thread for each client */
    { "prethread:3", "mutex", 3, false, false, false },             /* 7: prethreaded, mutex around accept */
    { "pool:3", "shared", 3, false, false, false },                 /* 8: prethreaded, the main thread accepts */
    { "prethread:3", "shared", 3, false, false, false },
    { "prethread:3", "flock", 3, false, false, false },
    { "prethread:3", "pass", 3, false, true, false },
    { "prethread:3", "reuseport", 1, false, false, true },
    { "prefork:3", "reuseport", 1, true, false, true },
    { "prefork:2+thread", "shared", 3, true, false, false },
    { "prefork:2+thread", "pass", 3, true, true, false },
    { "prefork:2+pool:3", "mutex", 3, true, false, false },
    { "prefork:2+prethread:2", "shared", 3, true, false, false },
    { "prefork:2+prethread:2", "flock", 3, true, false, false },
    { "prefork:2+prethread:2", "reuseport", 1, true, false, true },
    { "prefork:2+pool:3", "reuseport", 1, true, false, true },
    { "prefork:2+fork", "shared", 3, true, false, false },
    { "prethread:2+thread", "shared", 3, false, false, false },
    { "prethread:2+pool:3", "shared", 3, false, false, false },
    { "prethread:3+pool:3", "reuseport", 1, false, false, true },
    { "fiber:uring", "shared", 3, false, false, false },
    { "fiber:epoll", "shared", 3, false, false, false },
    { "prefork:2+fiber:epoll", "shared", 3, true, false, false },
    { "prefork:2+fiber", "pass", 3, true, true, false },
    { "prethread:2+fiber:epoll", "shared", 3, false, false, false },
    { "prefork:2+fiber", "reuseport", 1, true, false, true },
};

static const char *const families[] = { "tcp", "udp", "unix", "unixgram" };

static inline bool is_stream(const char *family)
{
    return strcmp(family, "tcp") == 0 || strcmp(family, "unix") == 0;
}

static inline bool fits(const struct design *design, const char *family)
{
    return (is_stream(family) || !design->streams_only) && (strncmp(family, "unix", 4) != 0 || !design->internet_only);
}

enum { DESIGNS = sizeof designs / sizeof *designs, FAMILIES = 4 };

/* What a parameterized test gets: plain text, for Criterion copies it into another process. */
struct setting {
    struct design design;
    char family[16];
};

#endif
