#include "processes.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Reads a file of each thread of a process; returns how many threads there are. */
static unsigned for_each_thread(pid_t pid, const char *name, void (*read)(FILE *file, void *data), void *data)
{
    char path[sizeof "/proc//task//" + 2 * 11 + 16];
    unsigned count = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder)) != NULL;) {
        int tid = atoi(entry->d_name);
        if (tid <= 0)
            continue;
        snprintf(path, sizeof path, "/proc/%d/task/%d/%s", (int)pid, tid, name);
        FILE *file = fopen(path, "re");
        if (file) {
            read(file, data);
            fclose(file);
            count++;
        }
    }
    if (folder)
        closedir(folder);
    return count;
}

/* --- who ---------------------------------------------------------------------------------------------------------- */

static int add(struct process_tree *tree, pid_t pid)
{
    if (tree->n == tree->room) {
        unsigned room = tree->room ? tree->room * 2 : 16;
        pid_t *pids = reallocarray(tree->pids, room, sizeof *pids);
        if (!pids)
            return -ENOMEM;
        tree->pids = pids;
        tree->room = room;
    }
    tree->pids[tree->n++] = pid;
    return 0;
}

struct search {
    struct process_tree tree;
    int result;
};

static void add_children(FILE *file, void *data)
{
    struct search *search = data;
    int pid;
    while (search->result == 0 && fscanf(file, "%d", &pid) == 1)
        search->result = add(&search->tree, pid);
}

int process_tree_look(pid_t root, struct process_tree *ret_tree)
{
    struct search search = { .result = 0 };
    struct process_tree *tree = &search.tree;
    search.result = add(tree, root);
    for (unsigned i = 0; search.result == 0 && i < tree->n; i++)
        tree->threads += for_each_thread(tree->pids[i], "children", add_children, &search);
    if (search.result < 0)
        process_tree_finish(tree);
    else
        *ret_tree = *tree;
    return search.result;
}

void process_tree_finish(struct process_tree *tree)
{
    free(tree->pids);
    *tree = (struct process_tree){ 0 };
}

/* --- what --------------------------------------------------------------------------------------------------------- */

uint64_t process_tree_cpu_ns(const struct process_tree *tree)
{
    uint64_t sum_ns = 0;
    for (unsigned i = 0; i < tree->n; i++) {
        clockid_t clock;
        struct timespec time;
        if (clock_getcpuclockid(tree->pids[i], &clock) == 0 && clock_gettime(clock, &time) == 0)
            sum_ns += time.tv_sec * UINT64_C(1000000000) + time.tv_nsec;
    }
    return sum_ns;
}

/* The state stands behind the name, which may hold anything. */
static void look_for_running(FILE *file, void *data)
{
    char line[512];
    size_t size = fread(line, 1, sizeof line - 1, file);
    line[size] = '\0';
    const char *end = strrchr(line, ')');
    if (end && (end[1] == ' ') && (end[2] == 'R' || end[2] == 'D'))
        *(bool *)data = true;
}

bool process_tree_is_asleep(const struct process_tree *tree)
{
    bool runs = false;
    for (unsigned i = 0; i < tree->n && !runs; i++)
        for_each_thread(tree->pids[i], "stat", look_for_running, &runs);
    return !runs;
}

static long pss_kb(pid_t pid)
{
    char path[64], line[256];
    long kb = 0;
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "Pss: %ld", &kb) == 1)
            break;
    if (file)
        fclose(file);
    return kb;
}

long process_tree_pss_kb(const struct process_tree *tree)
{
    long sum_kb = 0;
    for (unsigned i = 0; i < tree->n; i++)
        sum_kb += pss_kb(tree->pids[i]);
    return sum_kb;
}
