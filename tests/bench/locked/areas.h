/* What is mapped where in a process: to tell memory that processes share from what is each one's own, and to name an
 * instruction by its file. */
#ifndef LOCKED_AREAS_H
#define LOCKED_AREAS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { AREAS_MAX = 256 };

struct area {
    uint64_t start, end, offset;
    uint32_t object;
    bool shared, code;
};

/* The memory of one process. */
struct space {
    uint32_t number;        /* among all spaces and objects */
    pid_t pid;
    unsigned references;    /* by its threads */
    bool stale;             /* to be read again before it is used */
    unsigned n_areas;
    struct area areas[AREAS_MAX];
};

struct space *space_new(pid_t pid);
struct space *space_ref(struct space *space);
void space_unref(struct space *space);

/* The line's space and number: those of the file when processes share it, else of this process. */
void space_locate(struct space *space, uint64_t address, uint32_t *ret_space, uint64_t *ret_number);
/* The code's file and place in it; 0 when it has none. */
uint32_t space_code(struct space *space, uint64_t address, uint64_t *ret_offset);

/* "/usr/lib/libc.so.6"; "" for 0. */
const char *object_path(uint32_t object);
void objects_free(void);

/* "libc.so.6+0x1234", "[heap]", as /proc tells now. */
void describe_address(pid_t pid, uint64_t address, char *text, size_t size);

#endif
