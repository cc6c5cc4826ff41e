#include "identity.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int complain(const char *kind, const char *name)
{
    fprintf(stderr, "switchboard: there is no %s '%s'\n", kind, name);
    return -ENOENT;
}

int identity_find(const char *user, const char *group, struct identity *ret_identity)
{
    struct identity identity = { .changes = user || group, .uid = getuid(), .gid = getgid(), .user = user };
    const struct passwd *known_user = user ? getpwnam(user) : NULL;
    const struct group *known_group = group ? getgrnam(group) : NULL;
    if (user && !known_user)
        return complain("user", user);
    if (group && !known_group)
        return complain("group", group);
    if (known_user) {
        identity.uid = known_user->pw_uid;
        identity.gid = known_user->pw_gid;
    }
    if (known_group)
        identity.gid = known_group->gr_gid;
    *ret_identity = identity;
    return 0;
}

int identity_become(const struct identity *identity)
{
    if (!identity->changes)
        return 0;
    int r = identity->user ? initgroups(identity->user, identity->gid) : setgroups(1, &identity->gid);
    if (r == 0 && setgid(identity->gid) == 0 && setuid(identity->uid) == 0)
        return 0;
    fprintf(stderr, "switchboard: cannot become another user or group: %s; only root can\n", strerror(errno));
    return -EPERM;
}
