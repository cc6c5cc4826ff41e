/* A server's classes: their resolved methods, super, and the state of each. Private. */
#ifndef CLASSES_H
#define CLASSES_H

#include "class_list.h"
#include "objects.h"

/* From a class to its place in the list, without a search: a multiplication that gives each class another slot. */
struct sb_class_index {
    uint64_t multiplier;
    unsigned char places[64];
};

struct sb_classes {
    struct sb_class_list list;                  /* overrides and strategies, then the base; families are left out */
    struct sb_class supers[MAX_CLASSES];        /* supers[i]: of the list from i on; supers[0]: the server's own */
    void *states[MAX_CLASSES];
    size_t request_offsets[MAX_CLASSES];        /* of their blocks in a request; 0: none */
    size_t request_size;                        /* of a request with all blocks */
    struct sb_class_index index;
};

/* Resolves type and config.strategy, by the server's registry, into server->classes, methods and traits. Logs the
 * reason. start: runs their init; then destroy their finish. begin: their begin. */
int sb_classes_create(struct sb_server *server, const struct sb_class *const *type);
int sb_classes_start(struct sb_server *server);
void sb_classes_begin(struct sb_server *server);
void sb_classes_destroy(struct sb_server *server);

/* Resolves a list of n classes into one table. */
void sb_class_resolve(const struct sb_class *const *list, unsigned n, struct sb_class *ret_table);

/* Whether a class in front of the base has a get_request of its own. */
bool sb_classes_override_get_request(const struct sb_server *server);

#endif
