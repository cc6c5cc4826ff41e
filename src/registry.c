#include "registry.h"

#include "base.h"

static const struct sb_class serial = {
    .name = "serial",
    .summary = "one request after the other, in the loop itself",
};

const struct sb_class *const sb_strategies[] = {
    &serial, &sb_threading_mixin, &sb_forking_mixin, &sb_pool_mixin, &sb_prefork_mixin, &sb_prethread_mixin,
    &sb_fiber_mixin, NULL,
};

#define TCP &sb_tcp_class
#define UDP &sb_udp_class, TCP
#define UNIX_STREAM &sb_unix_stream_class, TCP
#define UNIX_DATAGRAM &sb_unix_datagram_class, UDP
#define TYPE(name, ...) const struct sb_class *const name[] = { __VA_ARGS__, NULL };
#define TYPES(prefix, mixin)                                                                               \
    TYPE(sb_##prefix##_tcp_server, mixin, TCP)                                                             \
    TYPE(sb_##prefix##_udp_server, mixin, UDP)                                                             \
    TYPE(sb_##prefix##_unix_stream_server, mixin, UNIX_STREAM)                                             \
    TYPE(sb_##prefix##_unix_datagram_server, mixin, UNIX_DATAGRAM)

TYPE(sb_tcp_server, TCP)
TYPE(sb_udp_server, UDP)
TYPE(sb_unix_stream_server, UNIX_STREAM)
TYPE(sb_unix_datagram_server, UNIX_DATAGRAM)
TYPES(threading, &sb_threading_mixin)
TYPES(forking, &sb_forking_mixin)
TYPES(pool, &sb_pool_mixin)
TYPES(prefork, &sb_prefork_mixin)
TYPES(prethread, &sb_prethread_mixin)
TYPES(fiber, &sb_fiber_mixin)

const struct sb_registry sb_registry = {
    .strategies = sb_strategies,
    .base = &sb_base_class,
    .families = (const struct sb_class *const *const[]){
        sb_tcp_server, sb_udp_server, sb_unix_stream_server, sb_unix_datagram_server, NULL,
    },
};
