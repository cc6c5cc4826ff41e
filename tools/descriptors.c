#include "descriptors.h"

#include <sys/resource.h>

unsigned long descriptors_limit(void)
{
    struct rlimit limit = { .rlim_max = 0 };
    getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_max;
}

unsigned long descriptors_raise(void)
{
    unsigned long most = descriptors_limit();
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){ .rlim_cur = most, .rlim_max = most });
    return most;
}
