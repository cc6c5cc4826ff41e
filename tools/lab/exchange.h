/* What the workers of all generations do, as frames for whoever looks on: README.md has their form. */
#ifndef LAB_EXCHANGE_H
#define LAB_EXCHANGE_H

#include <jansson.h>
#include <stdbool.h>
#include <switchboard/scoreboard.h>

struct exchange;

/* pid: the supervisor's. zero_ns: what times count from. NULL: no memory. free: accepts NULL. */
struct exchange *exchange_new(pid_t pid, uint64_t zero_ns);
void exchange_free(struct exchange *exchange);

/* Has the server trace, or not. Nothing is traced at first. */
void exchange_watch(struct exchange *exchange, bool on);

/* Sees which generations have come and gone; call it several times a second. Returns the pid of one that has died
 * though nobody had it end, 0 for none. */
pid_t exchange_look(struct exchange *exchange);

/* What has happened since the last frame; NULL: no memory. Only while it is watched. */
json_t *exchange_frame(struct exchange *exchange);

/* How everything is, for one who comes now. */
json_t *exchange_full(struct exchange *exchange);

/* For the numbers: workers alive and busy of all generations, callers in the kernel (-1: not known). */
void exchange_count(const struct exchange *exchange, unsigned *ret_workers, unsigned *ret_busy, int *ret_waiting);

/* The generation that serves: false when there is none. */
bool exchange_serving(const struct exchange *exchange, pid_t *ret_pid, const char **ret_strategy,
                      const char **ret_handler);

/* How many workers live in a process; 0: it is none of the server's that handle requests. It may have ended since. */
unsigned exchange_workers_of(const struct exchange *exchange, pid_t pid);

#endif
