/* What the two pages are told, and what they may ask for. */
#ifndef LAB_SITE_H
#define LAB_SITE_H

#include "director.h"
#include "record.h"
#include "viewers.h"
#include "web.h"

#define SITE_VIEWERS_MAX 16
#define SITE_VOTERS_MAX 300
#define SITE_CONNECTIONS_OF_ONE 150         /* of one address: a class may have one for all */
#define SITE_VIEWER_BACKLOG (4 << 20)       /* bytes that one may be behind; then it misses frames */
#define SITE_VOTER_BACKLOG (64 << 10)
#define SITE_STATE_NS 66000000              /* the state is told no more often, whoever votes */

/* Built in by assemble.py. */
extern const struct web_file page_files[], room_files[];

struct site {
    struct director *director;
    struct web page, room;          /* room: not started without an address */
    struct viewers viewers, voters;
    struct record record;
    json_t *handlers, *strategies, *lessons;
    uint64_t next_state_ns;
};

/* director is set, and begun. Returns 0 or the exit status, after a sentence. */
int site_start(struct site *site, const char *page, const char *room);

/* An event for all, and for the recording. Takes the data. */
void site_tell(const char *event, json_t *data, void *site);

/* Does what browsers want, lets newcomers know everything, and tells the state where that has changed. Returns
 * milliseconds as web_run(). */
int site_run(struct site *site);

/* Whether somebody looks on, or it is recorded. */
bool site_is_watched(const struct site *site);

void site_stop(struct site *site);

#endif
