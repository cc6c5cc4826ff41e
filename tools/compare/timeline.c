#include "timeline.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/param.h>

#define SHORT_WAIT_NS 20000
#define SMALL_PART 0.02

/* A call, and what the server did for it; times of 0: it has not happened. */
struct story {
    const struct load_call *call;
    uint64_t accepted_ns, began_ns, ended_ns;
    uint32_t slot;
    const struct sb_trace_event *const *events;     /* of the slot while it was handled: n_events, the first its begin,
                                                     * the last its end where that is known */
    size_t n_events;
};

struct join {
    struct story *stories;      /* by port, then by time */
    unsigned n_stories;
    const struct sb_trace_event **events;   /* by slot, then as they were written; without SB_ACCEPTED */
    size_t n_events;
};

/* --- the calls ---------------------------------------------------------------------------------------------------- */

static int compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_calls(const void *a, const void *b)
{
    const struct load_call *left = ((const struct story *)a)->call, *right = ((const struct story *)b)->call;
    return left->port != right->port ? compare_numbers(left->port, right->port)
                                     : compare_numbers(left->called_ns, right->called_ns);
}

static int collect_calls(struct join *join, const struct load_call *calls, unsigned n_calls)
{
    join->stories = calloc(MAX(n_calls, 1), sizeof *join->stories);
    if (!join->stories)
        return -ENOMEM;
    join->n_stories = n_calls;
    for (unsigned i = 0; i < n_calls; i++)
        join->stories[i].call = &calls[i];
    qsort(join->stories, n_calls, sizeof *join->stories, compare_calls);
    return 0;
}

/* The last call from a port up to a time; NULL: none. */
static struct story *find_call(const struct join *join, uint16_t port, uint64_t time_ns)
{
    const struct load_call moment = { .port = port, .called_ns = time_ns };
    const struct story key = { .call = &moment };
    unsigned low = 0, high = join->n_stories;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (compare_calls(&join->stories[middle], &key) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || port == 0 || join->stories[low - 1].call->port != port)
        return NULL;
    return &join->stories[low - 1];
}

/* --- the trace ---------------------------------------------------------------------------------------------------- */

static int compare_events(const void *a, const void *b)
{
    const struct sb_trace_event *left = *(const struct sb_trace_event *const *)a;
    const struct sb_trace_event *right = *(const struct sb_trace_event *const *)b;
    return left->slot != right->slot ? compare_numbers(left->slot, right->slot) : (left > right) - (left < right);
}

static void note_accepted(struct join *join, const struct sb_trace_event *event)
{
    struct story *story = find_call(join, event->port, event->time_ns);
    if (story && (story->accepted_ns == 0 || event->time_ns < story->accepted_ns))
        story->accepted_ns = event->time_ns;
}

static int collect_events(struct join *join, const struct sb_trace_event *events, unsigned n_events)
{
    join->events = calloc(MAX(n_events, 1), sizeof *join->events);
    if (!join->events)
        return -ENOMEM;
    for (unsigned i = 0; i < n_events; i++) {
        if (__atomic_load_n(&events[i].time_ns, __ATOMIC_ACQUIRE) == 0)
            continue;
        if (events[i].state == SB_ACCEPTED)
            note_accepted(join, &events[i]);
        else
            join->events[join->n_events++] = &events[i];
    }
    qsort(join->events, join->n_events, sizeof *join->events, compare_events);
    return 0;
}

/* Events [first, end) of a slot are a request; has_ended: the last of them is its end. */
static void note_handled(struct join *join, size_t first, size_t end, bool has_ended)
{
    const struct sb_trace_event *begin = join->events[first];
    struct story *story = find_call(join, begin->port, begin->time_ns);
    if (!story || (story->began_ns != 0 && story->began_ns <= begin->time_ns))
        return;
    story->slot = begin->slot;
    story->began_ns = begin->time_ns;
    story->ended_ns = has_ended ? join->events[end - 1]->time_ns : 0;
    story->events = &join->events[first];
    story->n_events = end - first;
    if (story->accepted_ns == 0 || story->accepted_ns > story->began_ns)
        story->accepted_ns = story->began_ns;
}

static bool is_wait(uint8_t state)
{
    return state == SB_READING || state == SB_WRITING || state == SB_SLEEPING;
}

/* The request that begins with an event: how many events are its. */
static size_t follow(const struct join *join, size_t first, bool *ret_ended)
{
    const struct sb_trace_event *begin = join->events[first];
    size_t i = first + 1;
    for (; i < join->n_events && join->events[i]->slot == begin->slot; i++) {
        const struct sb_trace_event *event = join->events[i];
        bool goes_on = is_wait(event->state) || event->state == SB_HANDLING;
        if (!goes_on || event->port != begin->port) {
            *ret_ended = true;
            return i + 1 - first;
        }
    }
    *ret_ended = false;
    return i - first;
}

/* Behind its begin a request has the slot for itself. */
static void find_requests(struct join *join)
{
    for (size_t i = 0, n; i < join->n_events; i += n) {
        bool ended;
        n = 1;
        if (join->events[i]->state != SB_HANDLING)
            continue;
        n = follow(join, i, &ended);
        note_handled(join, i, i + n, ended);
        if (ended && join->events[i + n - 1]->state == SB_HANDLING)
            n--;    /* the next one's begin */
    }
}

/* --- the picture -------------------------------------------------------------------------------------------------- */

static double ms_since(uint64_t base_ns, uint64_t time_ns)
{
    return time_ns == 0 ? -1 : (double)(time_ns - base_ns) / 1e6;
}

static bool is_negligible(const struct story *story, uint64_t wait_ns)
{
    return wait_ns < SHORT_WAIT_NS &&
           (story->ended_ns == 0 || wait_ns < SMALL_PART * (double)(story->ended_ns - story->began_ns));
}

static void draw_waits(const struct story *story, uint64_t base_ns, struct timeline_request *request)
{
    for (size_t i = 1; i + 1 < story->n_events; i++) {
        uint64_t from_ns = story->events[i]->time_ns, to_ns = story->events[i + 1]->time_ns;
        if (!is_wait(story->events[i]->state) || is_negligible(story, to_ns - from_ns))
            continue;
        if (request->n_waits == TIMELINE_WAITS_MAX)
            request->n_waits--;
        else
            request->waits[request->n_waits].from_ms = ms_since(base_ns, from_ns);
        request->waits[request->n_waits++].to_ms = ms_since(base_ns, to_ns);
    }
}

static struct timeline_request draw(const struct story *story, uint64_t base_ns)
{
    const struct load_call *call = story->call;
    struct timeline_request request = {
        .called_ms = ms_since(base_ns, call->called_ns),
        .accepted_ms = ms_since(base_ns, story->accepted_ns),
        .began_ms = ms_since(base_ns, story->began_ns),
        .ended_ms = ms_since(base_ns, story->ended_ns),
        .answered_ms = call->answered ? ms_since(base_ns, call->ended_ns) : -1,
    };
    draw_waits(story, base_ns, &request);
    return request;
}

static unsigned find_lane(struct timeline *timeline, unsigned *lane_of, uint32_t slot)
{
    if (lane_of[slot] == 0) {
        timeline->lanes[timeline->n_lanes].slot = slot;
        lane_of[slot] = ++timeline->n_lanes;
    }
    return lane_of[slot] - 1;
}

static int compare_begins(const void *a, const void *b)
{
    return compare_numbers(((const struct story *)a)->began_ns, ((const struct story *)b)->began_ns);
}

static int compare_requests(const void *a, const void *b)
{
    const struct timeline_request *left = a, *right = b;
    return (left->called_ms > right->called_ms) - (left->called_ms < right->called_ms);
}

static int draw_all(struct join *join, struct timeline *timeline)
{
    uint32_t slots = join->n_events > 0 ? join->events[join->n_events - 1]->slot + 1 : 1;
    unsigned *lane_of = calloc(slots, sizeof *lane_of);     /* each plus 1; 0: none yet */
    timeline->requests = calloc(MAX(join->n_stories, 1), sizeof *timeline->requests);
    timeline->lanes = calloc(slots, sizeof *timeline->lanes);
    if (!lane_of || !timeline->requests || !timeline->lanes) {
        free(lane_of);
        return -ENOMEM;
    }
    uint64_t base_ns = UINT64_MAX;
    for (unsigned i = 0; i < join->n_stories; i++)
        base_ns = MIN(base_ns, join->stories[i].call->called_ns);
    qsort(join->stories, join->n_stories, sizeof *join->stories, compare_begins);
    for (unsigned i = 0; i < join->n_stories; i++) {
        const struct story *story = &join->stories[i];
        struct timeline_request *request = &timeline->requests[timeline->n_requests++];
        *request = draw(story, base_ns);
        if (story->began_ns == 0)
            continue;
        request->lane = find_lane(timeline, lane_of, story->slot);
        timeline->lanes[request->lane].requests++;
    }
    qsort(timeline->requests, timeline->n_requests, sizeof *timeline->requests, compare_requests);
    free(lane_of);
    return 0;
}

int timeline_join(const struct sb_trace_event *events, unsigned n_events, const struct load_call *calls,
                  unsigned n_calls, struct timeline *ret_timeline)
{
    struct join join = { 0 };
    struct timeline timeline = { 0 };
    int r = collect_calls(&join, calls, n_calls);
    if (r == 0)
        r = collect_events(&join, events, n_events);
    if (r == 0) {
        find_requests(&join);
        r = draw_all(&join, &timeline);
    }
    free(join.stories);
    free(join.events);
    if (r < 0)
        timeline_finish(&timeline);
    else
        *ret_timeline = timeline;
    return r;
}

int timeline_record_begin(struct timeline_record *record, const struct sb_scoreboard *board, unsigned room)
{
    struct sb_trace_event *events = malloc(room * sizeof *events);
    if (!events)
        return -ENOMEM;
    *record = (struct timeline_record){ .reader = { .board = board }, .events = events, .room = room };
    return 0;
}

void timeline_record_follow(struct timeline_record *record)
{
    record->count += sb_trace_read(&record->reader, record->events + record->count, record->room - record->count);
}

void timeline_record_finish(struct timeline_record *record)
{
    free(record->events);
    *record = (struct timeline_record){ .events = NULL };
}

/* What was missed, and what a full record has no room for; what has happened since it was read is neither. */
static unsigned long left_out(const struct timeline_record *record)
{
    uint64_t count = __atomic_load_n(&record->reader.board->trace_count, __ATOMIC_RELAXED);
    return record->reader.missed + (record->count == record->room ? count - record->reader.next : 0);
}

int timeline_make(struct timeline_record *record, const struct load_call *calls, unsigned n_calls,
                  struct timeline *ret_timeline)
{
    const struct sb_scoreboard *board = record->reader.board;
    timeline_record_follow(record);
    int r = timeline_join(record->events, record->count, calls, n_calls, ret_timeline);
    for (size_t i = 0; r == 0 && i < ret_timeline->n_lanes; i++) {
        struct timeline_lane *lane = &ret_timeline->lanes[i];
        const struct sb_slot *slot = sb_scoreboard_slot(board, lane->slot);
        lane->pid = slot->pid;
        lane->tid = slot->tid;
    }
    if (r == 0)
        ret_timeline->dropped = left_out(record);
    return r;
}

void timeline_finish(struct timeline *timeline)
{
    free(timeline->requests);
    free(timeline->lanes);
    *timeline = (struct timeline){ 0 };
}
