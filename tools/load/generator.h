/* A load in a process of its own, so that whoever has started it can look at it and at the server meanwhile. */
#ifndef GENERATOR_H
#define GENERATOR_H

#include <sys/types.h>
#include "load.h"

struct generator {
    pid_t pid;                          /* 0: none runs */
    int pid_fd;                         /* readable once it has ended */
    const struct load_result *result;   /* in shared memory: its numbers grow while it runs */
    const struct load_call *calls;      /* plan->calls_room of them, shared as well */
    struct load_server *server;         /* shared: where its watcher tells it about the server */
    struct shared *shared;
    size_t shared_size;
};

/* The CPU for a load's plan: the last that this process may use, so that the server has the others; -1 where there is
 * only one. */
int generator_choose_cpu(void);

/* Starts load_run() of a plan; its `calls` and its `server` are the generator's own. A Control-C or SIGTERM is for
 * whoever started it, with whom it dies. It keeps to plan->cpu. Returns 0 or -errno. generator_free() in any case. */
int generator_start(struct generator *generator, const struct load_plan *plan);

/* Asks it to end. */
void generator_stop(struct generator *generator);

/* Waits for its end. Returns what load_run() did, or -ECHILD when it was killed; why says so, a phrase. */
int generator_wait(struct generator *generator, char *why, size_t why_size);

/* Ends it if it still runs; the result is gone. */
void generator_free(struct generator *generator);

#endif
