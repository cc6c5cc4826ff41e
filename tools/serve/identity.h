/* The user and group that a server becomes once its addresses are bound. */
#ifndef IDENTITY_H
#define IDENTITY_H

#include <stdbool.h>
#include <sys/types.h>

struct identity {
    bool changes;       /* false: it stays who it is */
    uid_t uid;
    gid_t gid;
    const char *user;   /* the caller's; NULL: the user stays */
};

/* Looks up names; NULL: that one stays, or, of a group, is the user's own. 0, or -ENOENT when it has said which is not
 * there. */
int identity_find(const char *user, const char *group, struct identity *ret_identity);

/* Becomes it, with all groups of the user. 0, or -EPERM when it has said why not. */
int identity_become(const struct identity *identity);

#endif
