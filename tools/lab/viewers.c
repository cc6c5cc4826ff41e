#include "viewers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WHO_SIZE = 48, BLOCK_SIZE = 32768 };

struct viewer {
    LIST_ENTRY(viewer) neighbours;
    struct viewers *viewers;
    struct MHD_Connection *connection;
    char *bytes;                    /* to be sent: size of them, of which `sent` are */
    size_t size, sent, room;
    bool fresh, suspended;
    char who[WHO_SIZE];
};

void viewers_init(struct viewers *viewers, unsigned most, size_t backlog)
{
    *viewers = (struct viewers){ .most = most, .backlog = backlog };
    LIST_INIT(&viewers->list);
}

/* --- as the HTTP library asks ------------------------------------------------------------------------------------- */

static ssize_t read_some(void *data, uint64_t position, char *bytes, size_t most)
{
    struct viewer *viewer = data;
    size_t left = viewer->size - viewer->sent, size = left < most ? left : most;
    (void)position;
    if (size == 0 && viewer->viewers->ends)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (size == 0) {
        viewer->suspended = true;
        MHD_suspend_connection(viewer->connection);
        return 0;
    }
    memcpy(bytes, viewer->bytes + viewer->sent, size);
    viewer->sent += size;
    if (viewer->sent == viewer->size)
        viewer->sent = viewer->size = 0;
    return (ssize_t)size;
}

static void leave(void *data)
{
    struct viewer *viewer = data;
    LIST_REMOVE(viewer, neighbours);
    viewer->viewers->count--;
    free(viewer->bytes);
    free(viewer);
}

struct MHD_Response *viewers_add(struct viewers *viewers, struct MHD_Connection *connection, const char *who)
{
    struct viewer *viewer = viewers->count < viewers->most && !viewers->ends ? calloc(1, sizeof *viewer) : NULL;
    if (!viewer)
        return NULL;
    *viewer = (struct viewer){ .viewers = viewers, .connection = connection, .fresh = true };
    snprintf(viewer->who, sizeof viewer->who, "%s", who);
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_SIZE, read_some, viewer, leave);
    if (!response) {
        free(viewer);
        return NULL;
    }
    LIST_INSERT_HEAD(&viewers->list, viewer, neighbours);
    viewers->count++;
    MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
    return response;
}

/* --- telling ------------------------------------------------------------------------------------------------------ */

static void resume(struct viewer *viewer)
{
    if (!viewer->suspended)
        return;
    viewer->suspended = false;
    MHD_resume_connection(viewer->connection);
}

static bool make_room(struct viewer *viewer, size_t size)
{
    if (viewer->sent > 0) {
        memmove(viewer->bytes, viewer->bytes + viewer->sent, viewer->size - viewer->sent);
        viewer->size -= viewer->sent;
        viewer->sent = 0;
    }
    if (viewer->size + size <= viewer->room)
        return true;
    size_t room = (viewer->size + size) * 2;
    char *bytes = viewer->size + size > viewer->viewers->backlog ? NULL : realloc(viewer->bytes, room);
    if (!bytes)
        return false;
    viewer->bytes = bytes;
    viewer->room = room;
    return true;
}

/* Who cannot be told it is told everything later. */
bool viewer_send(struct viewer *viewer, const char *event, const char *data)
{
    size_t size = strlen(event) + strlen(data) + sizeof "event: \ndata: \n\n";
    if (!make_room(viewer, size)) {
        viewer->fresh = true;
        return false;
    }
    viewer->size += sprintf(viewer->bytes + viewer->size, "event: %s\ndata: %s\n\n", event, data);
    resume(viewer);
    return true;
}

void viewers_send(struct viewers *viewers, const char *event, const char *data)
{
    struct viewer *viewer;
    LIST_FOREACH(viewer, &viewers->list, neighbours)
        if (!viewer->fresh)
            viewer_send(viewer, event, data);
}

void viewers_each(struct viewers *viewers, void (*tell)(struct viewer *viewer, void *data), void *data)
{
    struct viewer *viewer;
    LIST_FOREACH(viewer, &viewers->list, neighbours)
        if (!viewer->fresh)
            tell(viewer, data);
}

/* Only one that has caught up: it was told too much before. */
struct viewer *viewers_next_fresh(struct viewers *viewers)
{
    struct viewer *viewer;
    LIST_FOREACH(viewer, &viewers->list, neighbours)
        if (viewer->fresh && viewer->size == 0) {
            viewer->fresh = false;
            return viewer;
        }
    return NULL;
}

const char *viewer_who(const struct viewer *viewer)
{
    return viewer->who;
}

void viewers_end(struct viewers *viewers)
{
    struct viewer *viewer;
    viewers->ends = true;
    LIST_FOREACH(viewer, &viewers->list, neighbours)
        resume(viewer);
}
