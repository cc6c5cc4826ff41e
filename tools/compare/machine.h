/* Where the figures come from. */
#ifndef MACHINE_H
#define MACHINE_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>

struct machine {
    char system[128];           /* PRETTY_NAME of os-release(5) */
    char kernel[128];           /* "Linux 6.1.0 x86_64" */
    char processor[128];        /* "model name" of /proc/cpuinfo, or the architecture */
    char compiler[64], library[32];     /* "gcc 12.2.0", "glibc 2.36" */
    unsigned cpus;              /* that this process may use */
    double memory_gib;
    long descriptors;           /* the hard limit of each process, RLIMIT_NOFILE */
    long processes;             /* the hard limit, RLIMIT_NPROC; -1: none */
    long backlog;               /* /proc/sys/net/core/somaxconn; -1: not known */
    bool counts_calls;          /* the kernel lets us count system calls */
    cpu_set_t all_cpus, server_cpus;    /* the server's: all but the load's */
    int load_cpu;               /* -1: there is one CPU, which they share */
};

/* What cannot be found out is "unknown". */
void machine_look(struct machine *ret_machine);

/* "0,2-3"; returns text. */
char *machine_cpu_list(const cpu_set_t *cpus, char *text, size_t size);

#endif
