/* Lists of classes: read from a type and from text such as prefork:4+thread, and what makes no sense of it. Knows
 * nothing of servers. Private. */
#ifndef CLASS_LIST_H
#define CLASS_LIST_H

#include <switchboard/class.h>
#include "ground/log.h"

#define MAX_CLASSES 16

/* The classes in the box, handed down by whoever makes a server. */
struct sb_registry {
    const struct sb_class *const *strategies;           /* by name, NULL-terminated; the first stands alone */
    const struct sb_class *base;                        /* the end of every list */
    const struct sb_class *const *const *families;      /* their lists, NULL-terminated */
};

struct sb_class_list {
    const struct sb_log *log;
    const struct sb_registry *registry;
    const struct sb_class *classes[MAX_CLASSES];
    const char *arguments[MAX_CLASSES];         /* what stands behind a colon, inside words; or NULL */
    unsigned n;
    const struct sb_class *const *family;       /* the rest of the type, from its family on; or NULL */
    char *words;
    char *text;                                 /* the list as text */
};

/* Reads the type's own classes and then the text's (either may be NULL) into a list of which only log and registry are
 * set. It has room for one class more. Logs what makes no sense: -EINVAL, or why a plugin cannot be loaded; -ENOMEM. */
int sb_class_list_read(struct sb_class_list *list, const struct sb_class *const *type, const char *text);
void sb_class_list_finish(struct sb_class_list *list);

#endif
