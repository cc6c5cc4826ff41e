/* Pages that look on, each over a stream of server-sent events (HTML Standard, section 9.2). */
#ifndef LAB_VIEWERS_H
#define LAB_VIEWERS_H

#include <jansson.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <sys/queue.h>

struct viewer;

struct viewers {
    LIST_HEAD(, viewer) list;
    unsigned count, most;
    size_t backlog;                 /* bytes that one may be behind; then it misses what comes, and is told all again */
    bool ends;                      /* all streams come to their end */
};

/* For at most so many. */
void viewers_init(struct viewers *viewers, unsigned most, size_t backlog);

/* A response that goes on for as long as there is something to tell; NULL: too many, or no memory. who: told back by
 * viewer_who(); "" or an identity that outlives nothing. The viewer is fresh. */
struct MHD_Response *viewers_add(struct viewers *viewers, struct MHD_Connection *connection, const char *who);

/* One that has been told nothing yet, or has missed something, and is to be told everything; NULL: none. It counts as
 * told. */
struct viewer *viewers_next_fresh(struct viewers *viewers);
const char *viewer_who(const struct viewer *viewer);

/* An event with its data. False: there is no room or no memory; it is fresh again. */
bool viewer_send(struct viewer *viewer, const char *event, const char *data);
void viewers_send(struct viewers *viewers, const char *event, const char *data);

/* Calls tell() for each that is not fresh. */
void viewers_each(struct viewers *viewers, void (*tell)(struct viewer *viewer, void *data), void *data);

/* Each stream ends when it has been sent. */
void viewers_end(struct viewers *viewers);

#endif
