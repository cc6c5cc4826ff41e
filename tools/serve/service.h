/* A service manager's side: sockets that it has opened (sd_listen_fds_with_names(3)), and what it wants to be told
 * (sd_notify(3), sd_watchdog_enabled(3)). Where it is not systemd, or the program was built without libsystemd, all but
 * the first two do nothing. */
#ifndef SERVE_SERVICE_H
#define SERVE_SERVICE_H

#include "options.h"

#define SERVICE_PREFIX "systemd:"

/* Puts "fd://N" in the place of each "systemd:NAME", the service manager's sockets of that name; without a NAME, all
 * that it has opened. 0, or -errno when it has said why not. The words are allocated once and stay. */
int service_find_sockets(struct serve_arguments *arguments);

/* Keeps all that it has opened open across execve(2), or no longer: the next program finds them again. */
int service_hand_down(bool open);

/* It serves, as it is described; the first time, and when a change is done or refused. */
void service_tell_ready(const char *state);

/* A change has begun; the end has. */
void service_tell_change(void);
void service_tell_stop(void);

/* How it is; said only when that has changed. */
void service_tell_state(const char *state);

/* The time between two signs of life that a watchdog wants, in ms, halved so that none is missed; -1: there is none. */
int service_watchdog_ms(void);
void service_tell_alive(void);

/* Whether anybody is told at all. */
bool service_is_watched(void);

#endif
