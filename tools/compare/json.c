/* The results as JSON. Its schema is compare.schema.json. */
#include "output.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "scenario.h"
#include "table.h"

/* Neighbouring buckets of a histogram that make one point of the distribution: 16 for each power of two. */
#define BUCKETS_EACH_POINT 8

/* Keeps numbers short: a measurement has no more than that. */
#define SIGNIFICANT_DIGITS 10
#define TIMELINE_DIGITS 1e4     /* a tenth of a microsecond */

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

/* Of bytes that are no UTF-8, question marks. */
static json_t *any_text(const char *text, size_t size)
{
    json_t *string = json_stringn(text, size);
    char *plain = string ? NULL : strndup(text, size);
    for (char *c = plain; c && *c != '\0'; c++)
        *c = *c & 0x80 ? '?' : *c;
    if (plain)
        string = json_string(plain);
    free(plain);
    return string;
}

static json_t *text_or_null(const char *text)
{
    return text && text[0] != '\0' ? any_text(text, strlen(text)) : json_null();
}

/* --- the head ----------------------------------------------------------------------------------------------------- */

static json_t *command_line(const struct comparison *comparison)
{
    json_t *words = json_pack("[s, s]", "switchboard", "compare");
    for (int i = 1; i < comparison->argc; i++)
        json_array_append_new(words, any_text(comparison->argv[i], strlen(comparison->argv[i])));
    return words;
}

static json_t *machine_to_json(const struct machine *machine)
{
    char server[128];
    machine_cpu_list(&machine->server_cpus, server, sizeof server);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:f, s:I, s:I, s:I, s:b, s:s, s:o}",
                     "system", machine->system, "kernel", machine->kernel, "processor", machine->processor,
                     "compiler", machine->compiler, "library", machine->library, "cpus", (int)machine->cpus,
                     "memory_gib", machine->memory_gib, "descriptors", (json_int_t)machine->descriptors,
                     "processes", (json_int_t)machine->processes, "backlog", (json_int_t)machine->backlog,
                     "counts_calls", machine->counts_calls, "server_cpus", server, "load_cpu",
                     machine->load_cpu < 0 ? json_null() : json_integer(machine->load_cpu));
}

static json_t *metrics_to_json(void)
{
    json_t *metrics = json_object();
    for (unsigned i = 0; i < METRICS; i++) {
        const struct metric_info *info = &metric_infos[i];
        json_object_set_new(metrics, info->name,
                            json_pack("{s:s, s:s, s:s?, s:i, s:s}", "title", info->title, "unit", info->unit, "better",
                                      info->better > 0 ? "more" : info->better < 0 ? "less" : NULL, "digits",
                                      info->digits, "meaning", info->meaning));
    }
    return metrics;
}

static json_t *names(char *const *texts, unsigned n)
{
    json_t *array = json_array();
    for (unsigned i = 0; i < n; i++)
        json_array_append_new(array, text_or_null(texts[i]));
    return array;
}

static json_t *prediction_to_json(const struct match *match)
{
    if (!match->prediction)
        return json_null();
    struct prediction_score score = predict_score(match);
    unsigned order[match->n_contestants + 1], n = match_rank(match, match->scenario->primary, order);
    json_t *measured = json_array();
    for (unsigned i = 0; i < n; i++)
        json_array_append_new(measured, text_or_null(match->contestants[order[i]].name));
    return json_pack("{s:s, s:o, s:o, s:i, s:o}", "scenario", match->scenario->name, "guess",
                     names(match->prediction, match->n_prediction), "measured", measured, "right",
                     (int)score.right, "tau", number(score.tau));
}

/* --- a contestant ------------------------------------------------------------------------------------------------- */

static json_t *summary_to_json(const struct match *match, const struct contestant *contestant)
{
    json_t *summary = json_object();
    for (unsigned i = 0; i < METRICS; i++) {
        struct spread spread = contestant_spread(contestant, i);
        double ratio = NAN;
        if (contestant->rounds == 0 || spread.n == 0)
            continue;
        contestant_compare(match, contestant, i, &ratio);
        json_object_set_new(summary, metric_infos[i].name,
                            json_pack("{s:f, s:f, s:f, s:f, s:f, s:i, s:o, s:o}", "median", spread.median, "low",
                                      spread.low, "high", spread.high, "min", spread.min, "max", spread.max, "rounds",
                                      (int)spread.n, "ratio", number(ratio), "judgement",
                                      text_or_null(contestant_judge(match, contestant, i))));
    }
    return summary;
}

static json_t *rounds_to_json(const struct contestant *contestant)
{
    json_t *rounds = json_array();
    for (unsigned k = 0; k < contestant->rounds; k++) {
        json_t *round = json_object();
        for (unsigned i = 0; i < METRICS; i++)
            if (!isnan(contestant->values[k][i]))
                json_object_set_new(round, metric_infos[i].name, json_real(contestant->values[k][i]));
        json_array_append_new(rounds, round);
    }
    return rounds;
}

static json_t *distribution(const struct histogram *latency)
{
    json_t *points = json_array();
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i += BUCKETS_EACH_POINT) {
        json_int_t count = 0;
        for (unsigned k = i; k < i + BUCKETS_EACH_POINT; k++)
            count += latency->buckets[k];
        if (count > 0)
            json_array_append_new(points, json_pack("[f, I]",
                                                    histogram_bucket_ns(i + BUCKETS_EACH_POINT - 1) / 1e3, count));
    }
    return points;
}

static json_t *latency_to_json(const struct histogram *latency)
{
    if (!latency || latency->count == 0)
        return json_null();
    return json_pack("{s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:o}", "count", (json_int_t)latency->count,
                     "p50_us",
                                                    histogram_percentile(latency, 50) / 1e3, "p90_us",
                                                                         histogram_percentile(latency, 90) / 1e3,
                     "p99_us", histogram_percentile(latency, 99) / 1e3,
                     "p99_9_us", histogram_percentile(latency, 99.9) / 1e3, "max_us", latency->max_ns / 1e3,
                     "mean_us", latency->sum_ns / 1e3 / latency->count, "distribution", distribution(latency));
}

static json_t *workers_to_json(const struct contestant *contestant)
{
    json_t *workers = json_array();
    for (unsigned i = 0; i < contestant->n_workers; i++)
        json_array_append_new(workers, json_pack("{s:i, s:i, s:I}", "pid", contestant->workers[i].pid, "tid",
                                                 contestant->workers[i].tid, "served",
                                                 (json_int_t)contestant->workers[i].served));
    return workers;
}

static json_t *moment(double ms)
{
    return ms < 0 ? json_null() : json_real(round(ms * TIMELINE_DIGITS) / TIMELINE_DIGITS);
}

static json_t *request_to_json(const struct timeline_request *request)
{
    json_t *waits = json_array();
    for (unsigned i = 0; i < request->n_waits; i++)
        json_array_append_new(waits, json_pack("[o, o]", moment(request->waits[i].from_ms),
                                               moment(request->waits[i].to_ms)));
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "lane",
                     request->began_ms < 0 ? json_null() : json_integer(request->lane), "called_ms",
                     moment(request->called_ms), "accepted_ms", moment(request->accepted_ms), "began_ms",
                     moment(request->began_ms), "ended_ms", moment(request->ended_ms), "answered_ms",
                     moment(request->answered_ms), "waits", waits);
}

static json_t *timeline_to_json(const struct timeline *timeline)
{
    if (timeline->n_requests == 0)
        return json_null();
    json_t *lanes = json_array(), *requests = json_array();
    for (size_t i = 0; i < timeline->n_lanes; i++)
        json_array_append_new(lanes, json_pack("{s:i, s:i, s:i, s:i}", "slot", (int)timeline->lanes[i].slot, "pid",
                                               timeline->lanes[i].pid, "tid", timeline->lanes[i].tid, "requests",
                                               (int)timeline->lanes[i].requests));
    for (size_t i = 0; i < timeline->n_requests; i++)
        json_array_append_new(requests, request_to_json(&timeline->requests[i]));
    return json_pack("{s:I, s:o, s:o}", "dropped", (json_int_t)timeline->dropped, "lanes", lanes, "requests", requests);
}

static json_t *contestant_to_json(const struct match *match, const struct contestant *contestant)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:b, s:b, s:i, s:o, s:o, s:o, s:o, s:o}", "name",
                     text_or_null(contestant->name),
                     "strategy", text_or_null(contestant->strategy), "discipline",
                     text_or_null(contestant->discipline), "skipped", text_or_null(contestant->why), "bottleneck",
                     contestant->bottleneck, "died", contestant->died, "few", (int)contestant->few, "summary",
                     summary_to_json(match, contestant), "rounds", rounds_to_json(contestant), "latency",
                     latency_to_json(contestant->latency), "workers", workers_to_json(contestant), "timeline",
                     timeline_to_json(&contestant->timeline));
}

/* --- a match ------------------------------------------------------------------------------------------------------ */

static json_t *shown_to_json(const struct scenario *scenario)
{
    json_t *shown = json_array();
    for (unsigned i = 0; i < SCENARIO_METRICS_MAX && scenario->shown[i] != METRICS; i++)
        json_array_append_new(shown, json_string(metric_infos[scenario->shown[i]].name));
    return shown;
}

static json_t *verdict_to_json(const char *verdict)
{
    json_t *sentences = json_array();
    for (size_t length; *verdict != '\0'; verdict += length + (verdict[length] == '\n')) {
        length = strcspn(verdict, "\n");
        json_array_append_new(sentences, any_text(verdict, length));
    }
    return sentences;
}

static const char *const happenings[] = { [ENDED] = "ended", [ANSWERED] = "answered", [KILLED] = "killed" };

static json_t *match_to_json(const struct match *match)
{
    const struct scenario *scenario = match->scenario;
    json_t *contestants = json_array();
    for (unsigned i = 0; i < match->n_contestants; i++)
        json_array_append_new(contestants, contestant_to_json(match, &match->contestants[i]));
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:i, s:i, s:f, s:f, s:{s:s, s:I}, s:i, s:b, s:s, s:o, s:o, s:o, s:o, "
                     "s:o}",
                     "name", scenario->name, "title", scenario->title, "lesson", scenario->lesson,
                     "family", match->family, "handler", text_or_null(match->handler), "workers", (int)match->workers,
                     "clients", (int)match->clients,
                     "seconds", match->seconds, "limit", match->limit_s, "needs", "of", happenings[scenario->need.of],
                     "least", (json_int_t)match->needed, "rounds", (int)match->rounds, "all_cpus", scenario->all_cpus,
                     "primary", metric_infos[scenario->primary].name, "shown",
                     shown_to_json(scenario),
                     "baseline", text_or_null(match->baseline >= 0 ? match->contestants[match->baseline].name : NULL),
                     "prediction", prediction_to_json(match), "verdict", verdict_to_json(match->verdict),
                     "contestants", contestants);
}

static json_t *to_json(const struct comparison *comparison)
{
    char started[32] = "";
    struct tm utc;
    if (gmtime_r(&comparison->started, &utc))
        strftime(started, sizeof started, "%Y-%m-%dT%H:%M:%SZ", &utc);
    json_t *scenarios_played = json_array();
    for (unsigned i = 0; i < comparison->n_matches; i++)
        if (comparison->matches[i].rounds > 0)
            json_array_append_new(scenarios_played, match_to_json(&comparison->matches[i]));
    return json_pack("{s:s, s:i, s:s, s:o, s:s, s:f, s:b, s:o, s:{s:s, s:f, s:i}, s:o, s:o, s:o}", "schema",
                     "switchboard-compare", "version", OUTPUT_SCHEMA_VERSION, "switchboard", VERSION, "command",
                     command_line(comparison), "started", started, "seconds", comparison->seconds, "complete",
                     comparison->complete, "machine",
                     machine_to_json(&comparison->machine), "test",
                                     "name", SIGNED_RANK_NAME, "level", SIGNED_RANK_LEVEL,
                     "rounds_needed", SIGNED_RANK_LEAST, "metrics", metrics_to_json(), "prediction",
                     prediction_to_json(&comparison->matches[0]), "scenarios", scenarios_played);
}

int json_write(const struct comparison *comparison, FILE *file)
{
    json_t *json = to_json(comparison);
    if (!json)
        return -ENOMEM;
    errno = 0;
    int r = json_dumpf(json, file, JSON_COMPACT | JSON_REAL_PRECISION(SIGNIFICANT_DIGITS));
    json_decref(json);
    if (r == 0 && fputc('\n', file) != EOF && fflush(file) == 0)
        return 0;
    return errno != 0 ? -errno : -EIO;
}
