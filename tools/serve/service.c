#include "service.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../clock.h"
#include "config.h"

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

/* --- sockets ------------------------------------------------------------------------------------------------------ */

#ifdef HAVE_SYSTEMD

struct found {
    const char *words[SERVE_ITEMS_MAX + 1];
    unsigned n;
};

/* Too many of them are one too many. */
static int add(struct found *found, const char *word)
{
    if (found->n == SERVE_ITEMS_MAX) {
        fprintf(stderr, "switchboard: there are more than %d addresses\n", SERVE_ITEMS_MAX);
        return -E2BIG;
    }
    found->words[found->n++] = word;
    return 0;
}

static int add_socket(struct found *found, int n)
{
    char *word;
    if (asprintf(&word, "fd://%d", SD_LISTEN_FDS_START + n) < 0)
        return -ENOMEM;
    return add(found, word);
}

static int add_sockets(struct found *found, const char *wanted, char *const *names, int n)
{
    bool none = true;
    int r = 0;
    for (int i = 0; r == 0 && i < n; i++)
        if (wanted[0] == '\0' || strcmp(names[i], wanted) == 0) {
            r = add_socket(found, i);
            none = false;
        }
    if (none)
        fprintf(stderr, "switchboard: the service manager has opened no socket%s%s; it is a .socket unit that has one "
                "(FileDescriptorName=)\n", wanted[0] != '\0' ? " of the name " : "", wanted);
    return none ? -ENOENT : r;
}

static int find_all(const struct serve_arguments *arguments, char *const *names, int n, struct found *found)
{
    int r = 0;
    for (const char *const *word = arguments->addresses; r == 0 && *word; word++)
        r = strncmp(*word, SERVICE_PREFIX, strlen(SERVICE_PREFIX)) == 0
            ? add_sockets(found, *word + strlen(SERVICE_PREFIX), names, n) : add(found, *word);
    return r;
}

static int count;           /* of sockets that came from it; they are close-on-exec */

static int find(struct serve_arguments *arguments)
{
    static struct found found;          /* they stay */
    char **names = NULL;
    count = sd_listen_fds_with_names(false, &names);
    int r = find_all(arguments, names, count > 0 ? count : 0, &found);
    for (int i = 0; i < count; i++)
        free(names[i]);
    free(names);
    if (r == 0)
        memcpy(arguments->addresses, found.words, sizeof found.words);
    return r;
}

int service_hand_down(bool open)
{
    int r = 0;
    for (int i = 0; i < count; i++)
        if (fcntl(SD_LISTEN_FDS_START + i, F_SETFD, open ? 0 : FD_CLOEXEC) < 0)
            r = -errno;
    return r;
}

#else

int service_hand_down(bool open)
{
    (void)open;
    return 0;
}

static int find(struct serve_arguments *arguments)
{
    (void)arguments;
    fprintf(stderr, "switchboard: " SERVICE_PREFIX "NAME: this switchboard was built without libsystemd; use fd://N\n");
    return -EOPNOTSUPP;
}

#endif

int service_find_sockets(struct serve_arguments *arguments)
{
    for (const char *const *word = arguments->addresses; *word; word++)
        if (strncmp(*word, SERVICE_PREFIX, strlen(SERVICE_PREFIX)) == 0)
            return find(arguments);
    return 0;
}

/* --- what it is told ---------------------------------------------------------------------------------------------- */

#ifdef HAVE_SYSTEMD

static void tell(const char *text)
{
    sd_notify(false, text);
}

int service_watchdog_ms(void)
{
    uint64_t usec;
    return sd_watchdog_enabled(false, &usec) > 0 ? (int)(usec / 2000) : -1;
}

#else

static void tell(const char *text)
{
    (void)text;
}

int service_watchdog_ms(void)
{
    return -1;
}

#endif

bool service_is_watched(void)
{
#ifdef HAVE_SYSTEMD
    return getenv("NOTIFY_SOCKET");
#else
    return false;
#endif
}

static char told[256];

void service_tell_state(const char *state)
{
    char text[300];
    if (strcmp(state, told) == 0)
        return;
    snprintf(told, sizeof told, "%s", state);
    snprintf(text, sizeof text, "STATUS=%s", told);
    tell(text);
}

void service_tell_ready(const char *state)
{
    char text[320];
    snprintf(told, sizeof told, "%s", state);
    snprintf(text, sizeof text, "READY=1\nSTATUS=%s", told);
    tell(text);
}

/* systemd.service(5), notify-reload: the time tells this reload from the one before. */
void service_tell_change(void)
{
    char text[64];
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)(clock_ns() / 1000));
    tell(text);
}

void service_tell_stop(void)
{
    tell("STOPPING=1\nSTATUS=waiting for requests to end");
}

void service_tell_alive(void)
{
    tell("WATCHDOG=1");
}
