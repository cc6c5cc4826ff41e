#include "machine.h"

#include <gnu/libc-version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>
#include "../calls.h"
#include "../load/generator.h"

/* What follows `key` and the separator in a file of such lines, without quotes; "unknown". */
static void look_up(const char *path, const char *key, char separator, char *value, size_t size)
{
    char line[512];
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        char *found = strchr(line, separator);
        if (!found || strncmp(line, key, strlen(key)) != 0)
            continue;
        found += 1 + strspn(found + 1, " \t\"'");
        found[strcspn(found, "\"'\n")] = '\0';
        snprintf(value, size, "%s", found);
        break;
    }
    if (file)
        fclose(file);
}

static long read_number(const char *path)
{
    long number = -1;
    FILE *file = fopen(path, "re");
    if (file && fscanf(file, "%ld", &number) != 1)
        number = -1;
    if (file)
        fclose(file);
    return number;
}

static void look_at_system(struct machine *machine)
{
    struct utsname name;
    uname(&name);
    snprintf(machine->kernel, sizeof machine->kernel, "%.40s %.60s %.20s", name.sysname, name.release, name.machine);
    snprintf(machine->processor, sizeof machine->processor, "%s", name.machine);
    look_up("/proc/cpuinfo", "model name", ':', machine->processor, sizeof machine->processor);
    snprintf(machine->system, sizeof machine->system, "unknown");
    look_up(access("/etc/os-release", R_OK) == 0 ? "/etc/os-release" : "/usr/lib/os-release", "PRETTY_NAME=", '=',
            machine->system, sizeof machine->system);
    machine->memory_gib = (double)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE) / (1 << 30);
    machine->backlog = read_number("/proc/sys/net/core/somaxconn");
}

static void look_at_compiler(struct machine *machine)
{
#if defined __clang__
    snprintf(machine->compiler, sizeof machine->compiler, "clang %d.%d.%d", __clang_major__, __clang_minor__,
             __clang_patchlevel__);
#else
    snprintf(machine->compiler, sizeof machine->compiler, "gcc %d.%d.%d", __GNUC__, __GNUC_MINOR__,
             __GNUC_PATCHLEVEL__);
#endif
    snprintf(machine->library, sizeof machine->library, "glibc %s", gnu_get_libc_version());
}

static void look_at_limits(struct machine *machine)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    machine->descriptors = limit.rlim_max;
    getrlimit(RLIMIT_NPROC, &limit);
    machine->processes = limit.rlim_max == RLIM_INFINITY ? -1 : (long)limit.rlim_max;
}

static void share_cpus(struct machine *machine)
{
    CPU_ZERO(&machine->all_cpus);
    if (sched_getaffinity(0, sizeof machine->all_cpus, &machine->all_cpus) < 0)
        CPU_SET(sched_getcpu(), &machine->all_cpus);
    machine->cpus = CPU_COUNT(&machine->all_cpus);
    machine->server_cpus = machine->all_cpus;
    machine->load_cpu = generator_choose_cpu();
    if (machine->load_cpu >= 0)
        CPU_CLR(machine->load_cpu, &machine->server_cpus);
}

void machine_look(struct machine *ret_machine)
{
    look_at_system(ret_machine);
    look_at_compiler(ret_machine);
    look_at_limits(ret_machine);
    share_cpus(ret_machine);
    ret_machine->counts_calls = calls_can_be_counted();
}

char *machine_cpu_list(const cpu_set_t *cpus, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (int first = 0, last; first < CPU_SETSIZE && used < size; first = last + 1) {
        last = first;
        if (!CPU_ISSET(first, cpus))
            continue;
        while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, cpus))
            last++;
        const char *comma = used > 0 ? "," : "";
        used += first == last ? snprintf(text + used, size - used, "%s%d", comma, first)
                              : snprintf(text + used, size - used, "%s%d-%d", comma, first, last);
    }
    return text;
}
