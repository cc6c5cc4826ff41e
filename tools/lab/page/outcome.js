/* What a change came to, in sentences with numbers. */

const METRICS = {
    answers: value => rounded(value), errors: value => rounded(value), waiting: value => rounded(value),
    p50: us => duration(us / 1000), p99: us => duration(us / 1000), cpu: us => `${rounded(us)} µs`,
    memory: kB => size(kB * 1024), switches: value => rounded(value), calls: value => rounded(value),
};
const HEADLINES = ["answers", "p50", "p99", "errors"], REASONS = ["cpu", "switches", "calls", "waiting", "memory"];

const metricName = name => say(name === "waiting" ? "backlog" : name);

function signed(name, value) {
    return `${value < 0 ? "−" : "+"}${METRICS[name](Math.abs(value))}`;
}

function loadText(load) {
    const kind = sayOf("", load.kind).split(/[:：]/)[0];
    return load.rate ? say("loadOpen", number(load.callers), kind, number(load.rate))
                     : say("loadClosed", number(load.callers), kind, number(load.think_ms));
}

/* What differs between two states of the server. */
function differences(from, to) {
    const parts = ["strategy", "accept", "handler"].filter(part => from[part] !== to[part])
        .map(part => [from[part], to[part]]);
    if ((from.options ?? []).join() !== (to.options ?? []).join() && from.handler === to.handler)
        parts.push([handlerText(from), handlerText(to)]);
    return parts.length ? parts : [[from.strategy, to.strategy]];
}

/* What was done, as a title. */
function doneText(mark) {
    switch (mark.what) {
    case "change":
        return differences(mark.from, mark.to).map(([from, to]) => say("doneChange", from, to)).join(say("comma"));
    case "load":
        return say("doneLoad", loadText(mark.load));
    case "lesson": {
        const lesson = seen.hello?.lessons.find(({ name }) => name === mark.name);
        return say("doneLesson", inLanguage(lesson?.title) ?? mark.name, mark.step + 1);
    }
    default:
        return sayOf("done", mark.what, mark.pid);
    }
}

function metricText({ name, before, after, low, high, verdict }) {
    const show = METRICS[name] ?? rounded;
    if (verdict === "unknown" || before === null || after === null)
        return say("metricUnknown", metricName(name));
    if (name === "errors" && before === 0 && after === 0)
        return say("noErrors");
    const between = low === null || high === null ? "" : say("interval", signed(name, low), signed(name, high));
    return say("metric", metricName(name), show(before), show(after), between, verdictText(verdict));
}

function verdictText(verdict) {
    return sayOf("verdict", verdict);
}

/* The counters that moved. */
function whyText(metrics) {
    const moved = metrics.filter(({ name, verdict, before, after }) => REASONS.includes(name)
        && ["more", "less"].includes(verdict) && METRICS[name](before) !== METRICS[name](after));
    const parts = moved.map(({ name, before, after, verdict }) =>
        say(verdict === "more" ? "rose" : "fell", metricName(name), METRICS[name](before), METRICS[name](after)));
    return parts.length ? say("why", parts.join(say("comma"))) : say("noWhy");
}

/* Faster, slower or the same, by the answers a second. */
function becameText({ metrics, failed }) {
    const verdict = metrics.find(({ name }) => name === "answers")?.verdict;
    const speed = { more: "faster", less: "slower", close: "verdictClose" }[verdict] ?? "notKnown";
    return say("came", [say(speed), failed ? say("failed", failed) : say("noneFailed")].join(say("comma")));
}

function guesses(outcome) {
    return element("div", { class: "guesses" }, element("h4", null, say("guessed")), voteBars(outcome.votes, SPEEDS),
                   element("h4", null, say("errorsAsked")), voteBars(outcome.votes, ERRORS),
                   element("p", null, element("b", null, becameText(outcome))));
}

function outcomeElement(outcome) {
    const known = name => outcome.metrics.find(metric => metric.name === name);
    const line = metric => element("p", { "data-metric": metric.name, "data-verdict": metric.verdict },
                                   metricText(metric));
    return element("article", { class: "outcome" },
        element("h3", null, doneText(outcome.mark)),
        HEADLINES.map(known).filter(metric => metric).map(line),
        element("p", null, whyText(outcome.metrics)),
        element("p", outcome.failed ? { class: "bad" } : null,
                outcome.failed ? say("failed", outcome.failed) : say("noneFailed")),
        outcome.disturbed ? element("p", { class: "disturbed" }, say("disturbed")) : null,
        outcome.votes ? guesses(outcome) : null,
        element("p", { class: "small" }, say("windows", number(outcome.seconds))));
}
