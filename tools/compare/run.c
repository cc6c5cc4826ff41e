#include "run.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include "../load/generator.h"

#define TICK_MS LOAD_LOOK_MS
#define TICKS_EACH_SAMPLE 3

/* A load may be over soon, and its server at rest again: at first it is looked at more often. */
#define FIRST_TICKS 10
#define FIRST_TICK_MS 10

/* Whether who still waits will be served is for the server's sleep to tell, and not for the time. */
static void tell_of_server(struct generator *generator, struct subject *subject)
{
    struct load_server *server = generator->server;
    if (!subject_is_alive(subject))
        __atomic_store_n(&server->gone, true, __ATOMIC_RELEASE);
    if (subject_is_at_rest(subject))
        __atomic_fetch_add(&server->rests, 1, __ATOMIC_ACQ_REL);
    else
        __atomic_store_n(&server->rests, 0, __ATOMIC_RELEASE);
}

/* Until the load has ended, or, with `stays`, has done its requests. */
static void watch(struct generator *generator, struct subject *subject, struct timeline_record *record, bool stays,
                  const volatile bool *stop, void (*tick)(void *data), void *data)
{
    struct pollfd ended = { .fd = generator->pid_fd, .events = POLLIN };
    for (unsigned ticks = 0; poll(&ended, 1, ticks < FIRST_TICKS ? FIRST_TICK_MS : TICK_MS) <= 0; ticks++) {
        if (*stop)
            generator_stop(generator);
        timeline_record_follow(record);
        if (tick)
            tick(data);
        if (generator->result->lingers && ticks >= FIRST_TICKS)
            tell_of_server(generator, subject);
        if (ticks < FIRST_TICKS || ticks % TICKS_EACH_SAMPLE == 0)
            subject_sample(subject);
        if (stays && generator->result->done)
            return;
    }
}

/* Its peaks, while the connections are still there, and what each of them costs: of a few it would be chance. */
static void weigh(struct subject *subject, const struct load_result *load, bool stays, long before_kb, struct run *run)
{
    long after_kb = subject_sample(subject);
    if (stays && 2 * load->answered >= load->begun)
        run->connection_kb = (double)(after_kb - before_kb) / load->answered;
}

static void keep_usage(struct subject *subject, struct run *run)
{
    run->usage = subject->usage;
    run->calls = subject->calls;
    run->pss_kb = subject->pss_kb;
    run->processes = subject->processes;
    run->threads = subject->threads;
}

static int finish_load(struct generator *generator, struct run *run, char *why)
{
    char reason[LOAD_WHY_SIZE];
    generator_stop(generator);
    int r = generator_wait(generator, reason, sizeof reason);
    run->load = *generator->result;
    if (r < 0)
        snprintf(why, SUBJECT_WHY_SIZE, "the load could not run: %s", reason);
    return r;
}

static void draw(struct timeline_record *record, const struct generator *generator, struct run *run)
{
    unsigned n_calls = generator->result->n_calls;
    if (n_calls > 0 && record->events && timeline_make(record, generator->calls, n_calls, &run->timeline) < 0)
        run->timeline = (struct timeline){ 0 };
}

/* A request's end may be written down after its caller has its answer. Where callers stay until they are sent away,
 * what the server does then, for those whom it has kept waiting, is no part of the picture. */
static void collect(struct subject *subject, struct timeline_record *record, const struct generator *generator,
                    bool stays, const volatile bool *stop, struct run *run)
{
    subject_settle(subject, stop);
    run->n_workers = subject_workers(subject, run->workers, WORKERS_SHOWN);
    if (!stays)
        draw(record, generator, run);
}

static int put_load_on(struct subject *subject, const struct run_plan *plan, const volatile bool *stop,
                       void (*tick)(void *data), void *data, struct run *run, char *why)
{
    struct load_plan load = plan->load;
    struct generator generator;
    struct timeline_record record = { .events = NULL };
    load.address = subject->address;
    if (subject->board->trace_room > 0)
        timeline_record_begin(&record, subject->board, subject->board->trace_room);    /* without memory no picture */
    long before_kb = load.hold ? subject_sample(subject) : 0;
    int r = generator_start(&generator, &load);
    if (r < 0)
        snprintf(why, SUBJECT_WHY_SIZE, "cannot start the load: %s", strerror(-r));
    if (r == 0) {
        watch(&generator, subject, &record, load.hold, stop, tick, data);
        weigh(subject, generator.result, load.hold, before_kb, run);
        if (load.hold)
            draw(&record, &generator, run);
        r = finish_load(&generator, run, why);
    }
    if (r == 0)
        collect(subject, &record, &generator, load.hold, stop, run);
    generator_free(&generator);
    timeline_record_finish(&record);
    return r;
}

int run_blank(const struct run_plan *plan, const volatile bool *stop, struct run *ret_run, char why[SUBJECT_WHY_SIZE])
{
    struct subject subject;
    int r = subject_start(&subject, &plan->subject, stop, why);
    if (r < 0)
        return r;
    subject_stop(&subject);
    keep_usage(&subject, ret_run);
    subject_free(&subject);
    return 0;
}

int run_once(const struct run_plan *plan, const volatile bool *stop, void (*tick)(void *data), void *data,
             struct run *ret_run, char why[SUBJECT_WHY_SIZE])
{
    struct subject subject;
    int r = subject_start(&subject, &plan->subject, stop, why);
    if (r < 0)
        return r;
    memset(ret_run, 0, sizeof *ret_run);
    ret_run->connection_kb = NAN;
    r = put_load_on(&subject, plan, stop, tick, data, ret_run, why);
    ret_run->died = !subject_is_alive(&subject);
    subject_stop(&subject);
    keep_usage(&subject, ret_run);
    subject_free(&subject);
    if (r == 0 && *stop)
        r = -ECANCELED;
    if (r < 0)
        timeline_finish(&ret_run->timeline);
    return r;
}
