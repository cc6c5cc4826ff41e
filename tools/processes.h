/* A process with all its descendants, as proc(5) shows them. */
#ifndef PROCESSES_H
#define PROCESSES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct process_tree {
    pid_t *pids;                /* the root first */
    unsigned n, room;
    unsigned threads;           /* of all of them together */
};

/* Who is there now; who comes or goes meanwhile may be missed. 0 or -ENOMEM. */
int process_tree_look(pid_t root, struct process_tree *ret_tree);
void process_tree_finish(struct process_tree *tree);

/* Processor time of all threads that they have, or had. */
uint64_t process_tree_cpu_ns(const struct process_tree *tree);

/* No thread runs, or waits for a processor. */
bool process_tree_is_asleep(const struct process_tree *tree);

/* Proportional set size: a page that several share counts once. Costs the kernel a walk over all their pages. */
long process_tree_pss_kb(const struct process_tree *tree);

#endif
