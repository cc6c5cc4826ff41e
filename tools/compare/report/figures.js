/* A scenario's figures, each a chart with its table, in the order of the ranking. */

const LIMIT = "the load generator was the limit";
const WORKERS_DRAWN = 16;

const has = (contestant, metric) => contestant.summary?.[metric] !== undefined;
const digitsOf = metric => data.metrics[metric].digits;

const FAULTS = ["errors", "refused", "cut_off", "wrong", "unanswered"];

function axisTitle(metric) {
    const { title, unit } = data.metrics[metric];
    return unit ? `${title} (${unit})` : title;
}

function meaning(metric) {
    const { meaning: text, better } = data.metrics[metric];
    const sentence = text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
    return better ? `${sentence} ${better === "more" ? "More" : "Less"} is better.` : sentence;
}

function quartiles(spread, digits) {
    return spread.rounds > 1 ? `${number(spread.low, digits)} to ${number(spread.high, digits)}` : "one round";
}

/* The judgement, marked as good or bad where the metric says which is which. */
function judgement(metric, spread) {
    const direction = { more: 1, less: -1 }, said = spread.judgement || "–";
    const sign = { faster: 1, slower: -1 }[said] ?? direction[said] * direction[data.metrics[metric].better];
    return element("span", { class: sign > 0 ? "good" : sign < 0 ? "bad" : "even" }, said);
}

function ratio({ ratio: value }) {
    const digits = value === 0 ? 0 : [100, 10, 0.1].filter(step => value < step).length;
    return typeof value === "number" ? `${number(value, digits)}×` : "–";
}

/* Best first by what decides in this scenario; who has no figure comes last. */
function ranked(scenario) {
    const { better } = data.metrics[scenario.primary];
    const worth = contestant => has(contestant, scenario.primary)
        ? contestant.summary[scenario.primary].median * (better === "more" ? -1 : 1) : Infinity;
    const list = scenario.contestants.filter(contestant => !contestant.skipped || contestant.rounds?.length);
    return better ? list.sort((a, b) => worth(a) === worth(b) ? 0 : worth(a) - worth(b)) : list;
}

function nameCell(contestant) {
    const marks = [contestant.bottleneck ? LIMIT : "", contestant.died ? "its server died" : "",
                   contestant.few ? `saw too little in ${contestant.few} of ${contestant.rounds.length} rounds` : "",
                   contestant.skipped ? "given up" : "", contestant.summary?.wrong?.max ? "gave wrong answers" : ""];
    return element("span", null, contestant.name,
                   marks.filter(mark => mark).map(mark => element("small", null, mark)));
}

function metricTable(scenario, contestants, metric) {
    const digits = digitsOf(metric), marked = metric === scenario.primary || metric === "throughput";
    const figures = spread => [number(spread.median, digits), quartiles(spread, digits), ratio(spread),
                               judgement(metric, spread)];
    return table(`${axisTitle(metric)}, ${scenario.baseline ? `beside ${scenario.baseline}` : "no baseline"}`,
        [["Strategy", "text"], ["Median", "number"], ["Quartiles", "number"], ["Ratio", "number"], ["Judged", "text"]],
        contestants.map(contestant => [marked ? nameCell(contestant) : contestant.name,
            ...has(contestant, metric) ? figures(contestant.summary[metric]) : [null, null, null, null]]));
}

function barRows(scenario, contestants, metric) {
    return contestants.map(contestant => {
        const spread = contestant.summary?.[metric];
        const star = contestant.bottleneck && metric === "throughput" ? " *" : "";
        return {
            label: rowLabel(contestant.name, contestant.name === scenario.baseline ? ["(baseline)"] : []),
            spread: spread ? { ...spread, text: number(spread.median, digitsOf(metric)) + star } : null,
        };
    });
}

function plainLayers(scenario, contestants, metric) {
    const edge = contestant => colour(contestant.name === scenario.baseline ? "bar-baseline" : "bar");
    const fill = contestant => contestant.bottleneck && metric === "throughput"
        ? stripes(edge(contestant), colour("paper")) : edge(contestant);
    return [{ name: data.metrics[metric].title, fill: contestants.map(fill), edge: contestants.map(edge),
              values: contestants.map(contestant => contestant.summary?.[metric]?.median ?? null) }];
}

/* Processor time is user and system time where both are known. */
function cpuLayers(contestants) {
    const apart = contestant => has(contestant, "user_us") && has(contestant, "system_us");
    const median = (contestant, metric) => contestant.summary?.[metric]?.median ?? null;
    const layer = (name, fill, value) => ({ name, fill, edge: colour("bar"), values: contestants.map(value) });
    const striped = stripes(colour("bar"), colour("paper"));
    return [
        layer("in the program", colour("bar"), one => apart(one) ? median(one, "user_us") : null),
        layer("in the kernel", striped, one => apart(one) ? median(one, "system_us") : null),
        layer("not told apart", colour("waiting-ground"), one => apart(one) ? null : median(one, "cpu_us")),
    ].filter(({ values }) => values.some(value => value !== null));
}

function barFigure(scenario, contestants, metric) {
    if (!contestants.some(contestant => has(contestant, metric)))
        return null;
    const cpu = metric === "cpu_us";
    const limited = metric === "throughput" && contestants.some(contestant => contestant.bottleneck);
    const configure = () => barChart(barRows(scenario, contestants, metric), axisTitle(metric),
                                     cpu ? cpuLayers(contestants) : plainLayers(scenario, contestants, metric), cpu);
    const { frame } = canvas(`Bar chart: ${axisTitle(metric)} of each strategy; its table has the same figures`,
                             barHeight(contestants.length, cpu), configure);
    return figure(data.metrics[metric].title,
                  [meaning(metric), limited ? `* Striped: ${LIMIT}; the server could do more.` : ""],
                  frame, metricTable(scenario, contestants, metric));
}

function unknown(metric) {
    return element("section", { class: "skipped" }, element("h3", null, data.metrics[metric].title),
                   element("p", null, "No strategy has a figure for this."));
}

function latencyTable(contestants) {
    const columns = [["Half", "p50_us"], ["90 %", "p90_us"], ["99 %", "p99_us"], ["99.9 %", "p99_9_us"],
                     ["All", "max_us"]];
    const time = us => typeof us === "number" ? number(us, digitsOf("p50_us")) : null;
    return table("Latency (µs) that this share of the requests did not exceed, all rounds together",
        [["Strategy", "text"], ...columns.map(([title]) => [title, "number"]), ["Requests", "number"]],
        contestants.map(({ name, latency }) => [name, ...columns.map(([, key]) => time(latency[key])),
                                                number(latency.count)]));
}

function latencyFigure(all) {
    const contestants = all.filter(({ latency }) => latency?.count && latency.distribution?.length);
    if (!contestants.length)
        return null;
    let shown = new Set(contestants.keys());
    const { frame, chart } = canvas("Line chart: latency by percentile, a line for each strategy; its table has some",
                                    NARROW.matches ? 340 : 440, () => latencyChart(contestants, shown));
    const choose = chooser("Strategies", contestants, lineSwatch, ticked => {
        shown = ticked;
        contestants.forEach((_, n) => chart().setDatasetVisibility(n, ticked.has(n)));
        chart().update("none");
    });
    const made = figure("Latency",
        ["How long the fastest half, 90 %, 99 %, … of the requests took, all rounds together. Where a line rises at "
         + "the right, a few callers wait much longer than the rest."],
        [choose, frame], latencyTable(contestants));
    made.classList.add("wide");
    return made;
}

/* The busiest workers of a contestant, most first, and what the others have served together. */
function shares({ name, workers }) {
    const served = workers.map(worker => worker.served).sort((a, b) => b - a);
    const sum = counts => counts.reduce((total, count) => total + count, 0);
    const total = sum(served) || 1, others = served.slice(WORKERS_DRAWN);
    const row = (who, count) => ({ name, who, count, share: 100 * count / total });
    return {
        drawn: served.slice(0, WORKERS_DRAWN).map((count, n) => row(String(n + 1), count)),
        others: others.length ? [row(`${number(others.length)} others`, sum(others))] : [],
    };
}

function workersChart(contestants, rows) {
    const label = row => row.who === "1" ? `${rowLabel(row.name, []).join("")}  1` : row.who;
    const odd = row => contestants.findIndex(contestant => contestant.name === row.name) % 2;
    return barChart(
        rows.map(row => ({ label: [label(row)], spread: { median: row.share, low: row.share, high: row.share,
                                                          text: `${number(row.share, 1)} %` } })),
        "Share of all requests (%)",
        [{ name: "Share", values: rows.map(row => row.share), edge: colour("bar"),
           fill: rows.map(row => odd(row) ? stripes(colour("bar"), colour("paper")) : colour("bar")) }]);
}

function workersFigure(all) {
    const contestants = all.filter(contestant => contestant.workers?.length > 1);
    if (!contestants.length)
        return null;
    const parts = contestants.map(shares), rows = parts.flatMap(({ drawn }) => drawn);
    const { frame } = canvas("Bar chart: the share of each worker in the requests; its table has the same figures",
                             66 + 24 * rows.length, () => workersChart(contestants, rows));
    return figure("Requests of each worker",
        ["How evenly the work was shared in the last round: the workers of each strategy that has several, "
         + "busiest first."],
        frame,
        table("Requests served, last round",
            [["Strategy", "text"], ["Worker", "text"], ["Served", "number"], ["Share", "number"]],
            parts.flatMap(({ drawn, others }) => [...drawn, ...others])
                .map(({ name, who, count, share }) => [name, who, number(count), `${number(share, 1)} %`])));
}

/* Of faults the worst round counts: a median would hide a race. */
function worst(metric, spread) {
    return FAULTS.includes(metric) && spread.max > spread.high ? `, at most ${number(spread.max)}` : "";
}

function fullCell(metric, spread) {
    const times = typeof spread.ratio === "number" ? `${ratio(spread)} ` : "";
    const judged = spread.judgement === "baseline" ? ["baseline"]
        : spread.judgement ? [times, judgement(metric, spread)] : [];
    return element("span", { class: "stack" }, element("b", null, number(spread.median, digitsOf(metric))),
                   element("small", null, quartiles(spread, digitsOf(metric)), worst(metric, spread)),
                   element("small", null, judged));
}

function allFigures(scenario, contestants) {
    const metrics = scenario.shown.filter(metric => contestants.some(contestant => has(contestant, metric)));
    const cell = (contestant, metric) => has(contestant, metric) ? fullCell(metric, contestant.summary[metric]) : null;
    if (!metrics.length)
        return null;
    return element("section", { class: "all" },
        element("header", null, element("h3", null, "All figures"),
            element("p", null, "In each cell: the median of the rounds, the quartiles, and the ratio to the baseline "
                               + "with its judgement.")),
        table(`${scenario.title}: all figures`,
            [["Strategy", "text"], ...metrics.map(metric => [axisTitle(metric), "number"])],
            contestants.map(contestant => [nameCell(contestant),
                ...metrics.map(metric => cell(contestant, metric))])));
}

function predictionFigure(scenario) {
    const prediction = scenario.prediction;
    if (!prediction)
        return null;
    const { guess, measured, right, tau } = prediction;
    const verdict = n => n >= guess.length ? null : guess[n] === measured[n] ? "✓ right" : "✗ wrong";
    const order = typeof tau === "number"
        ? ` Kendall’s tau is ${number(tau, 2)}: 1 is the same order, 0 no relation, −1 the reverse.` : "";
    return element("section", { class: "prediction" },
        element("header", null, element("h3", null, "Guessed and measured"),
            element("p", null, `${right} of ${plural(guess.length, "guess", "guesses")} `
                               + `${right === 1 ? "is" : "are"} in the right place.${order}`)),
        table("The guess before the run, beside the measured ranking",
            [["Place", "text"], ["Guessed", "text"], ["Measured", "text"], ["The guess was", "text"]],
            Array.from({ length: Math.max(guess.length, measured.length) },
                       (_, n) => [String(n + 1), guess[n], measured[n], verdict(n)])));
}
