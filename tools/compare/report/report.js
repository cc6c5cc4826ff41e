/* The page around the figures. */

const LATENCIES = ["p50_us", "p90_us", "p99_us", "p99_9_us", "max_us"];

const sentences = ({ verdict }) => verdict?.length ? verdict : ["There is no verdict: nothing was measured."];

function skippedList(scenario) {
    const skipped = scenario.contestants.filter(contestant => contestant.skipped);
    if (!skipped.length)
        return null;
    return element("section", { class: "skipped" }, element("h3", null, "Not measured, or given up"),
        element("dl", null, skipped.map(({ name, skipped: why }) =>
            [element("dt", null, name), element("dd", null, why)])));
}

function conditions(scenario) {
    const clients = plural(scenario.clients, "client");
    const asked = `${clients}, each waiting for its answer before it asks again (closed loop)`;
    const length = scenario.seconds ? ` of ${seconds(scenario.seconds)}` : ", each until all is done";
    return `${asked}. ${plural(scenario.rounds, "round")}${length}. Handler ${scenario.handler} over `
        + `${scenario.family.toUpperCase()}; ${plural(scenario.workers, "worker")} where a strategy names no number.`
        + (scenario.all_cpus ? " The server may use every CPU." : "");
}

function scenarioSection(scenario) {
    const contestants = ranked(scenario), [first, ...others] = sentences(scenario), title = `title-${scenario.name}`;
    const further = metric => metric !== scenario.primary && scenario.shown.includes(metric)
        ? barFigure(scenario, contestants, metric) : null;
    return element("section", { class: "scenario", id: `scenario-${scenario.name}`, "aria-labelledby": title },
        element("header", null,
            element("h2", { id: title }, scenario.title),
            element("p", { class: "lesson" }, scenario.lesson),
            element("p", { class: "verdict" }, first),
            others.map(sentence => element("p", { class: "others" }, sentence)),
            element("p", { class: "conditions" }, conditions(scenario))),
        barFigure(scenario, contestants, scenario.primary) ?? unknown(scenario.primary),
        skippedList(scenario),
        predictionFigure(scenario),
        timelineFigure(contestants),
        further("throughput"), further("cpu_us"),
        scenario.shown.some(metric => LATENCIES.includes(metric)) ? latencyFigure(contestants) : null,
        further("pss_kb"), further("connection_kb"),
        workersFigure(contestants),
        allFigures(scenario, contestants));
}

function machineList({ machine }) {
    const processes = machine.processes < 0 ? "any number of processes"
                                            : plural(machine.processes, "process", "processes");
    const list = [
        ["System", `${machine.system}, ${machine.kernel}`],
        ["Processor", `${machine.processor}, ${plural(machine.cpus, "CPU")}`],
        ["Memory", `${number(machine.memory_gib, 1)} GiB`],
        ["CPUs", `the server on ${machine.server_cpus}, the load on ${machine.load_cpu ?? "the same"}`],
        ["Built with", `${machine.compiler}, ${machine.library}`],
        ["Limits", `${plural(machine.descriptors, "descriptor")} for each process, ${processes}, `
                   + `a backlog of ${number(machine.backlog)}`],
        ["System calls", machine.counts_calls ? "counted" : "not counted: the kernel does not allow it"],
    ];
    return element("dl", { class: "pairs" }, list.map(([name, text]) =>
        element("div", null, element("dt", null, name), element("dd", null, text))));
}

function howMeasured() {
    const { name, level, rounds_needed: needed } = data.test;
    const text = [
        "Each strategy ran in several rounds, in turn with the others. A bar is the median of its rounds; the whisker "
        + "on its end goes from the lower to the upper quartile: half of the rounds lie within.",
        `Each is judged beside the baseline by the ${name}, at the level ${level}: a difference is called one only if `
        + `it would come about by chance in at most ${number(level * 100)} of 100 comparisons of equals. Else the `
        + `two are “too close to call”. The test needs at least ${needed} rounds of each; with fewer it says “too few `
        + "rounds”.",
        `Where ${LIMIT}, the server was not fully busy: its throughput tells how fast the load was, and little else.`,
    ];
    return element("section", { class: "how", id: "how", "aria-labelledby": "title-how" },
        element("h2", { id: "title-how" }, "How it was measured"),
        text.map(paragraph => element("p", null, paragraph)),
        machineList(data));
}

function pageHeader() {
    const names = new Set(data.scenarios.flatMap(({ contestants }) => contestants.map(({ name }) => name)));
    const when = new Date(data.started).toLocaleString("en-GB", { dateStyle: "long", timeStyle: "short" });
    return [
        element("h1", null, `${plural(names.size, "strategy", "strategies")} compared in `
                            + plural(data.scenarios.length, "scenario")),
        element("p", { class: "about" }, element("time", { datetime: data.started }, when),
            ` · took ${seconds(data.seconds)} · switchboard ${data.switchboard} · ${data.machine.processor}, `
            + plural(data.machine.cpus, "CPU")),
        element("p", { class: "command" }, element("code", null, data.command.join(" "))),
        ...data.complete ? [] : [element("p", { class: "interrupted", role: "note" },
            "This comparison was interrupted: what follows rests on the rounds that had run.")],
        element("div", { class: "verdicts" }, data.scenarios.map(scenario => element("p", null,
            element("a", { href: `#scenario-${scenario.name}` }, scenario.title),
            element("strong", null, sentences(scenario)[0])))),
    ];
}

/* The link of what is being read is marked. */
function followReading(links) {
    const look = new IntersectionObserver(entries => {
        for (const { target } of entries.filter(entry => entry.isIntersecting))
            links.forEach((link, id) => id === target.id ? link.setAttribute("aria-current", "true")
                                                         : link.removeAttribute("aria-current"));
    }, { rootMargin: "-20% 0px -75% 0px" });
    links.forEach((_, id) => look.observe(document.getElementById(id)));
}

function build() {
    const titles = [...data.scenarios.map(({ name, title }) => [`scenario-${name}`, title]),
                    ["how", "How it was measured"]];
    const links = new Map(titles.map(([id, title]) => [id, element("a", { href: `#${id}` }, title)]));
    document.title = `${data.scenarios.map(({ title }) => title).join(", ")} – switchboard compare`;
    document.getElementById("top").append(...pageHeader());
    document.getElementById("scenarios").append(
        element("ul", null, [...links.values()].map(link => element("li", null, link))));
    document.getElementById("results").append(...data.scenarios.map(scenarioSection), howMeasured());
    redrawAll();
    letKeysScroll();
    followReading(links);
}

/* Paper is white, whatever the screen is. */
function paper(on) {
    document.documentElement.classList.toggle("paper", on);
    redrawAll();
}

build();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawAll);
NARROW.addEventListener("change", redrawAll);
addEventListener("beforeprint", () => paper(true));
addEventListener("afterprint", () => paper(false));
