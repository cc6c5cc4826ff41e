#include "areas.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "books.h"

enum { OBJECTS_MAX = 1024, SPACES_FROM = 1 << 20 };

static char *objects[OBJECTS_MAX];
static unsigned n_objects;
static uint32_t last_space = SPACES_FROM;

/* --- objects ------------------------------------------------------------------------------------------------------ */

/* Files are told apart by device, inode and path. */
static uint32_t object_of(const char *identity)
{
    unsigned i = 0;
    while (i < n_objects && strcmp(objects[i], identity) != 0)
        i++;
    if (i == n_objects) {
        if (n_objects == OBJECTS_MAX || !(objects[i] = strdup(identity)))
            return 0;
        n_objects++;
    }
    return i + 1;
}

const char *object_path(uint32_t object)
{
    const char *path = object > 0 && object <= n_objects ? strchr(objects[object - 1], ' ') : NULL;
    path = path ? strchr(path + 1, ' ') : NULL;
    return path ? path + 1 : "";
}

void objects_free(void)
{
    while (n_objects > 0)
        free(objects[--n_objects]);
}

/* --- spaces ------------------------------------------------------------------------------------------------------- */

struct space *space_new(pid_t pid)
{
    struct space *space = calloc(1, sizeof *space);
    if (space)
        *space = (struct space){ .number = ++last_space, .pid = pid, .references = 1, .stale = true };
    return space;
}

struct space *space_ref(struct space *space)
{
    space->references++;
    return space;
}

void space_unref(struct space *space)
{
    if (space && --space->references == 0)
        free(space);
}

static void read_area(struct space *space, const char *text)
{
    char permissions[5], device[16], identity[512];
    unsigned long start, end, offset, inode;
    int path = 0;
    if (sscanf(text, "%lx-%lx %4s %lx %15s %lu %n", &start, &end, permissions, &offset, device, &inode, &path) < 6)
        return;
    /* All anonymous inodes are one, but no two io_uring rings are one memory. */
    bool shared = permissions[3] == 's' && strncmp(text + path, "anon_inode:", 11) != 0;
    bool code = permissions[2] == 'x';
    if ((!shared && !code) || space->n_areas == AREAS_MAX)
        return;
    snprintf(identity, sizeof identity, "%s %lu %.*s", device, inode, (int)strcspn(text + path, "\n"), text + path);
    space->areas[space->n_areas++] = (struct area){ .start = start, .end = end, .offset = offset,
                                                    .object = object_of(identity), .shared = shared, .code = code };
}

static FILE *open_maps(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    return fopen(path, "re");
}

static void refresh(struct space *space)
{
    char text[512];
    FILE *file = space->stale ? open_maps(space->pid) : NULL;
    if (!file)
        return;
    space->n_areas = 0;
    while (fgets(text, sizeof text, file))
        read_area(space, text);
    fclose(file);
    space->stale = false;
}

static const struct area *find(struct space *space, uint64_t address)
{
    refresh(space);
    for (unsigned i = 0; i < space->n_areas; i++)
        if (address >= space->areas[i].start && address < space->areas[i].end)
            return &space->areas[i];
    return NULL;
}

void space_locate(struct space *space, uint64_t address, uint32_t *ret_space, uint64_t *ret_number)
{
    const struct area *area = find(space, address);
    bool shared = area && area->shared;
    *ret_space = shared ? area->object : space->number;
    *ret_number = (shared ? address - area->start + area->offset : address) / LINE_SIZE;
}

uint32_t space_code(struct space *space, uint64_t address, uint64_t *ret_offset)
{
    const struct area *area = find(space, address);
    *ret_offset = area ? address - area->start + area->offset : address;
    return area ? area->object : 0;
}

/* --- for people --------------------------------------------------------------------------------------------------- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

void describe_address(pid_t pid, uint64_t address, char *text, size_t size)
{
    char line[512];
    unsigned long start, end, offset;
    snprintf(text, size, "%#lx", (unsigned long)address);
    FILE *file = open_maps(pid);
    while (file && fgets(line, sizeof line, file)) {
        int path = 0;
        line[strcspn(line, "\n")] = '\0';
        if (sscanf(line, "%lx-%lx %*s %lx %*s %*s %n", &start, &end, &offset, &path) < 3 || address < start ||
            address >= end)
            continue;
        snprintf(text, size, "%s+%#lx", line[path] ? base_name(line + path) : "anonymous memory",
                 line[path] == '/' ? (unsigned long)(address - start + offset) : (unsigned long)(address - start));
    }
    if (file)
        fclose(file);
}
