/* The picture of a run, from events and calls that are made up. What a real server leaves is in compare.c. */
#include <criterion/criterion.h>
#include <math.h>

#include "../../tools/compare/timeline.h"

TestSuite(timeline, .timeout = 600);

static struct timeline timeline;

#define MS UINT64_C(1000000)
#define BASE (1000 * MS)
#define CALL(called_ms, ended_ms, port_) \
    { .called_ns = BASE + (called_ms) * MS, .ended_ns = BASE + (ended_ms) * MS, .port = port_, .answered = true }
#define EVENT(ms, slot_, port_, state_) \
    { .time_ns = BASE + (uint64_t)((ms) * MS + 0.5), .slot = slot_, .port = port_, .state = state_ }
#define JOIN(events, calls) \
    cr_assert_eq(timeline_join(events, sizeof (events) / sizeof *(events), calls, sizeof (calls) / sizeof *(calls), \
                               &timeline), 0)

static void expect_times(unsigned n, double called_ms, double accepted_ms, double began_ms, double ended_ms,
                         double answered_ms)
{
    cr_assert_lt(n, timeline.n_requests);
    const struct timeline_request *request = &timeline.requests[n];
    const double seen[] = { request->called_ms, request->accepted_ms, request->began_ms, request->ended_ms,
                            request->answered_ms };
    const double expected[] = { called_ms, accepted_ms, began_ms, ended_ms, answered_ms };
    static const char *const names[] = { "called", "accepted", "began", "ended", "answered" };
    for (int i = 0; i < 5; i++)
        cr_expect(fabs(seen[i] - expected[i]) < 1e-9, "request %u: %s %g, not %g", n, names[i], seen[i], expected[i]);
}

static void expect_wait(const struct timeline_request *request, unsigned n, double from_ms, double to_ms)
{
    cr_assert_lt(n, request->n_waits);
    cr_expect(fabs(request->waits[n].from_ms - from_ms) < 1e-9 && fabs(request->waits[n].to_ms - to_ms) < 1e-9,
              "wait %u: %g to %g", n, request->waits[n].from_ms, request->waits[n].to_ms);
}

Test(timeline, follows_a_request_from_hand_to_hand)
{
    static const struct load_call calls[] = { CALL(0, 9, 5000) };
    static const struct sb_trace_event events[] = {
        EVENT(0.1, 0, 0, SB_WAITING), EVENT(1, 0, 5000, SB_ACCEPTED), EVENT(2, 3, 0, SB_STARTING),
        EVENT(3, 3, 5000, SB_HANDLING), EVENT(3, 3, 5000, SB_READING), EVENT(5, 3, 5000, SB_HANDLING),
        EVENT(6, 3, 5000, SB_SLEEPING), EVENT(8, 3, 5000, SB_HANDLING), EVENT(8.5, 3, 5000, SB_WRITING),
        EVENT(8.75, 3, 5000, SB_HANDLING), EVENT(10, 3, 5000, SB_CLOSING), EVENT(11, 3, 0, SB_FREE),
    };
    JOIN(events, calls);
    cr_assert_eq(timeline.n_requests, 1);
    expect_times(0, 0, 1, 3, 10, 9);
    cr_expect_eq(timeline.requests[0].n_waits, 3);
    expect_wait(&timeline.requests[0], 0, 3, 5);
    expect_wait(&timeline.requests[0], 1, 6, 8);
    expect_wait(&timeline.requests[0], 2, 8.5, 8.75);
    cr_assert_eq(timeline.n_lanes, 1);
    cr_expect_eq(timeline.lanes[0].slot, 3);
    cr_expect_eq(timeline.lanes[0].requests, 1);
    timeline_finish(&timeline);
    cr_expect_null(timeline.requests);
    timeline_finish(&timeline);
}

Test(timeline, lanes_stand_in_the_order_in_which_they_began_and_requests_in_that_of_their_calls)
{
    static const struct load_call calls[] = { CALL(2, 20, 5002), CALL(1, 20, 5001), CALL(0, 20, 5000) };
    static const struct sb_trace_event events[] = {
        EVENT(3, 0, 5000, SB_ACCEPTED), EVENT(4, 0, 5001, SB_ACCEPTED), EVENT(5, 0, 5002, SB_ACCEPTED),
        EVENT(8, 1, 5000, SB_HANDLING), EVENT(6, 7, 5002, SB_HANDLING), EVENT(9, 7, 5002, SB_CLOSING),
        EVENT(9.5, 7, 0, SB_WAITING), EVENT(10, 7, 5001, SB_HANDLING), EVENT(11, 1, 5000, SB_CLOSING),
        EVENT(12, 7, 0, SB_WAITING),
    };
    JOIN(events, calls);
    cr_assert_eq(timeline.n_requests, 3);
    expect_times(0, 0, 3, 8, 11, 20);
    expect_times(1, 1, 4, 10, 12, 20);
    expect_times(2, 2, 5, 6, 9, 20);
    cr_assert_eq(timeline.n_lanes, 2);
    cr_expect_eq(timeline.lanes[0].slot, 7);
    cr_expect_eq(timeline.lanes[0].requests, 2);
    cr_expect_eq(timeline.lanes[1].slot, 1);
    cr_expect_eq(timeline.requests[0].lane, 1);
    cr_expect_eq(timeline.requests[1].lane, 0);
    cr_expect_eq(timeline.requests[2].lane, 0);
    timeline_finish(&timeline);
}

/* A client of datagrams keeps its port; a stream's may come again. */
Test(timeline, a_port_means_the_last_who_called_from_it)
{
    static const struct load_call calls[] = { CALL(0, 4, 5000), CALL(10, 14, 5000), CALL(20, 24, 5000) };
    static const struct sb_trace_event events[] = {
        EVENT(1, 0, 5000, SB_ACCEPTED), EVENT(2, 0, 5000, SB_HANDLING), EVENT(3, 0, 5000, SB_CLOSING),
        EVENT(21, 0, 5000, SB_ACCEPTED), EVENT(22, 0, 5000, SB_HANDLING), EVENT(23, 0, 0, SB_WAITING),
    };
    JOIN(events, calls);
    expect_times(0, 0, 1, 2, 3, 4);
    expect_times(1, 10, -1, -1, -1, 14);
    expect_times(2, 20, 21, 22, 23, 24);
    timeline_finish(&timeline);
}

Test(timeline, what_is_not_over_has_no_end)
{
    static const struct load_call calls[] = {
        CALL(0, 9, 5000), CALL(1, 9, 5001), { .called_ns = BASE + 2 * MS, .port = 5002 },
        { .called_ns = BASE + 3 * MS, .ended_ns = BASE + 5 * MS, .port = 5003 },
    };
    static const struct sb_trace_event events[] = {
        EVENT(1, 0, 5000, SB_ACCEPTED), EVENT(2, 0, 5001, SB_ACCEPTED), EVENT(3, 1, 5000, SB_HANDLING),
        EVENT(4, 1, 5000, SB_READING), EVENT(5, 1, 5000, SB_HANDLING), EVENT(6, 1, 5000, SB_SLEEPING),
    };
    JOIN(events, calls);
    expect_times(0, 0, 1, 3, -1, 9);
    cr_expect_eq(timeline.requests[0].n_waits, 1, "the second is not over");
    expect_times(1, 1, 2, -1, -1, 9);
    expect_times(2, 2, -1, -1, -1, -1);
    expect_times(3, 3, -1, -1, -1, -1);
    cr_expect_eq(timeline.n_lanes, 1);
    timeline_finish(&timeline);
}

Test(timeline, a_worker_that_dies_ends_its_request)
{
    static const struct load_call calls[] = { CALL(0, 9, 5000), CALL(1, 9, 5001) };
    static const struct sb_trace_event events[] = {
        EVENT(1, 0, 5000, SB_ACCEPTED), EVENT(2, 0, 5000, SB_HANDLING), EVENT(3, 0, 5000, SB_READING),
        EVENT(4, 0, 0, SB_DEAD), EVENT(5, 0, 0, SB_STARTING), EVENT(6, 0, 5001, SB_ACCEPTED),
        EVENT(7, 0, 5001, SB_HANDLING), EVENT(8, 0, 5001, SB_CLOSING),
    };
    JOIN(events, calls);
    expect_times(0, 0, 1, 2, 4, 9);
    expect_times(1, 1, 6, 7, 8, 9);
    expect_wait(&timeline.requests[0], 0, 3, 4);
    timeline_finish(&timeline);
}

Test(timeline, a_lost_end_does_not_join_two_requests)
{
    static const struct load_call calls[] = { CALL(0, 9, 5000), CALL(1, 9, 5001) };
    static const struct sb_trace_event events[] = {
        EVENT(2, 0, 5000, SB_HANDLING), { .time_ns = 0, .slot = 0, .port = 5000, .state = SB_CLOSING },
        EVENT(4, 0, 5001, SB_HANDLING), EVENT(5, 0, 5001, SB_CLOSING),
    };
    JOIN(events, calls);
    expect_times(0, 0, 2, 2, 4, 9);
    expect_times(1, 1, 4, 4, 5, 9);
    timeline_finish(&timeline);
}

Test(timeline, others_who_called_are_left_out)
{
    static const struct load_call calls[] = { CALL(5, 9, 5000), CALL(5, 9, 0) };
    static const struct sb_trace_event events[] = {
        EVENT(1, 0, 5000, SB_HANDLING), EVENT(2, 0, 5000, SB_CLOSING),      /* before the call */
        EVENT(6, 0, 6000, SB_ACCEPTED), EVENT(6, 1, 6000, SB_HANDLING), EVENT(7, 1, 6000, SB_CLOSING),
        EVENT(6, 2, 0, SB_ACCEPTED), EVENT(6, 2, 0, SB_HANDLING), EVENT(7, 2, 0, SB_CLOSING),
    };
    JOIN(events, calls);
    cr_expect_eq(timeline.n_requests, 2);
    expect_times(0, 0, -1, -1, -1, 4);
    expect_times(1, 0, -1, -1, -1, 4);
    cr_expect_eq(timeline.n_lanes, 0);
    timeline_finish(&timeline);
}

Test(timeline, short_waits_are_left_out_only_where_the_request_is_long)
{
    static const struct load_call calls[] = { CALL(0, 9, 5000), CALL(0, 9, 5001) };
    static const struct sb_trace_event events[] = {
        EVENT(1, 0, 5000, SB_HANDLING), EVENT(1, 0, 5000, SB_READING), EVENT(1.019, 0, 5000, SB_HANDLING),
        EVENT(2, 0, 5000, SB_WRITING), EVENT(2.021, 0, 5000, SB_HANDLING), EVENT(3, 0, 5000, SB_CLOSING),
        EVENT(1, 1, 5001, SB_HANDLING), EVENT(1, 1, 5001, SB_READING), EVENT(1.019, 1, 5001, SB_HANDLING),
        EVENT(1.1, 1, 5001, SB_CLOSING),
    };
    JOIN(events, calls);
    const struct timeline_request *first = &timeline.requests[0], *second = &timeline.requests[1];
    if (timeline.lanes[first->lane].slot == 1) {
        first = &timeline.requests[1];
        second = &timeline.requests[0];
    }
    cr_expect_eq(first->n_waits, 1);
    expect_wait(first, 0, 2, 2.021);
    cr_expect_eq(second->n_waits, 1);
    expect_wait(second, 0, 1, 1.019);
    timeline_finish(&timeline);
}

Test(timeline, waits_without_room_are_joined_to_the_last)
{
    static const struct load_call calls[] = { CALL(0, 100, 5000) };
    struct sb_trace_event events[2 + 2 * (TIMELINE_WAITS_MAX + 2)];
    unsigned n = 0;
    events[n++] = (struct sb_trace_event)EVENT(1, 0, 5000, SB_HANDLING);
    for (int i = 0; i < TIMELINE_WAITS_MAX + 2; i++) {
        events[n++] = (struct sb_trace_event)EVENT(2 + 2 * i, 0, 5000, SB_SLEEPING);
        events[n++] = (struct sb_trace_event)EVENT(3 + 2 * i, 0, 5000, SB_HANDLING);
    }
    events[n++] = (struct sb_trace_event)EVENT(90, 0, 5000, SB_CLOSING);
    JOIN(events, calls);
    const struct timeline_request *request = &timeline.requests[0];
    cr_expect_eq(request->n_waits, TIMELINE_WAITS_MAX);
    expect_wait(request, TIMELINE_WAITS_MAX - 2, 14, 15);
    expect_wait(request, TIMELINE_WAITS_MAX - 1, 16, 21);
    timeline_finish(&timeline);
}

Test(timeline, of_nothing_is_empty)
{
    static const struct sb_trace_event events[] = { EVENT(1, 0, 5000, SB_HANDLING) };
    static const struct load_call calls[] = { CALL(0, 9, 5000) };
    cr_expect_eq(timeline_join(events, 1, NULL, 0, &timeline), 0);
    cr_expect_eq(timeline.n_requests, 0);
    timeline_finish(&timeline);
    cr_expect_eq(timeline_join(NULL, 0, calls, 1, &timeline), 0);
    expect_times(0, 0, -1, -1, -1, 9);
    timeline_finish(&timeline);
}
