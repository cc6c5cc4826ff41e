#include "json.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "../text_json.h"

#define MILLI 1e3

static json_t *seconds(double value)
{
    return json_real(round(value * MILLI) / MILLI);
}

static json_t *name(const char *bytes)
{
    return bytes[0] ? text_json(bytes) : json_null();
}

static json_t *worker(const struct snapshot_worker *worker)
{
    return json_pack("{s:i, s:i, s:i, s:s, s:o, s:I, s:I, s:I, s:o}", "worker", (int)worker->worker, "pid", worker->pid,
                     "tid", worker->tid, "state", sb_state_name(worker->state), "seconds", seconds(worker->seconds),
                     "served", (json_int_t)worker->served, "errors", (json_int_t)worker->errors, "left",
                     (json_int_t)worker->left, "peer", strcmp(worker->peer, "-") == 0 ? json_null() : text_json(worker->peer));
}

static json_t *workers(const struct snapshot_generation *generation)
{
    json_t *list = json_array();
    for (unsigned i = 0; list && i < generation->n_workers; i++)
        if (json_array_append_new(list, worker(&generation->workers[i])) < 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *generation(const struct snapshot_generation *generation)
{
    return json_pack("{s:i, s:i, s:s, s:o, s:o, s:o, s:o}", "number", (int)generation->number, "pid", generation->pid,
                     "state", sb_generation_state_name(generation->state), "seconds", seconds(generation->seconds),
                     "handler", name(generation->handler), "strategy", name(generation->strategy), "workers",
                     workers(generation));
}

static json_t *generations(const struct snapshot *snapshot)
{
    json_t *list = json_array();
    for (unsigned i = 0; list && i < snapshot->n_generations; i++)
        if (json_array_append_new(list, generation(&snapshot->generations[i])) < 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

int json_print(const struct snapshot *snapshot)
{
    const struct sb_totals *totals = &snapshot->totals;
    json_t *server = json_pack(
        "{s:i, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:i, s:i, s:o, s:i, s:o}", "pid", snapshot->pid, "name",
        name(snapshot->name), "control", name(snapshot->control), "seconds", seconds(snapshot->seconds), "served",
        (json_int_t)totals->served, "errors", (json_int_t)totals->errors, "left", (json_int_t)totals->left, "truncated",
        (json_int_t)totals->truncated, "held_up", (json_int_t)totals->held_up, "workers", (int)totals->workers, "busy",
        (int)totals->busy, "waiting", snapshot->waiting < 0 ? json_null() : json_integer(snapshot->waiting), "ended",
        (int)snapshot->ended, "generations", generations(snapshot));
    if (!server)
        return -ENOMEM;
    int r = json_dumpf(server, stdout, JSON_COMPACT) < 0 ? -ENOMEM : 0;
    json_decref(server);
    printf("\n");
    return r;
}
