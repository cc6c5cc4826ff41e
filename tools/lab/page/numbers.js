/* The numbers of the last five minutes, as charts, with marks where something was done. */

const SHOWN_MS = 300000, CHARTS_MS = 60;    /* one chart after the other, each not more than twice a second */
const asMs = us => us === null ? null : us / 1000;
const time = value => value === null ? "–" : duration(value), plain = value => value === null ? "–" : rounded(value);

const CHARTS = [
    { name: "answers", lines: [sample => sample.answers], text: plain },
    { name: "latency", lines: [sample => asMs(sample.p50), sample => asMs(sample.p99)], text: time, log: true,
      labels: ["p50", "p99"] },
    { name: "errors", lines: [sample => sample.errors], text: plain },
    { name: "backlog", lines: [sample => sample.waiting], text: plain },
    { name: "cpu", lines: [sample => sample.cpu], text: value => value === null ? "–" : `${rounded(value)} µs` },
    { name: "switches", lines: [sample => sample.switches], text: plain },
    { name: "memory", lines: [sample => sample.memory], text: value => value === null ? "–" : size(value * 1024) },
    { name: "calls", lines: [sample => sample.calls], text: plain },
    { name: "lostUpdates", lines: [sample => sample.lost], text: plain, rare: true },
];
const DASHES = [[], [6, 3]];

let samples = [], chartMarks = [], charts = [];

function drawChartMarks(chart) {
    const draw = chart.ctx, { x } = chart.scales, { top, bottom, left, right } = chart.chartArea;
    draw.save();
    draw.strokeStyle = draw.fillStyle = colour("ink");
    draw.font = `600 12px ${Chart.defaults.font.family}`;
    draw.setLineDash([3, 3]);
    let free = left;
    for (const mark of chartMarks) {
        const at = x.getPixelForValue(mark.t);
        if (at < left || at > right)
            continue;
        draw.stroke(new Path2D(`M${at} ${top}V${bottom}`));
        const text = sayOf("mark", mark.what), wide = draw.measureText(text).width;
        if (at >= free && at + wide + 2 < right) {
            draw.fillText(text, at + 2, top + 9);
            free = at + wide + 6;
        }
    }
    draw.restore();
}

function chartOptions({ log, text }) {
    return {
        animation: false, spanGaps: 3000, events: [], maintainAspectRatio: false, parsing: false, normalized: true,
        scales: {
            x: { type: "linear", grid: { display: false }, afterBuildTicks: scale => {
                     scale.ticks = [0, 1].map(part => ({ value: scale.min + part * SHOWN_MS }));
                 },
                 ticks: { maxRotation: 0, align: "inner", autoSkip: false,
                          callback: (_, n) => say(n ? "now" : "minutesAgo", SHOWN_MS / 60000) } },
            y: { type: log ? "logarithmic" : "linear", beginAtZero: !log, grace: log ? 0 : "5%",
                 ticks: { maxTicksLimit: 4, callback: value => log && Math.log10(value) % 1 ? null : text(value) } },
        },
        plugins: { legend: { display: false } },
        elements: { point: { radius: 0 }, line: { borderWidth: 1.75 } },
    };
}

function makeChart(kind) {
    const sheet = element("canvas", { role: "img", "aria-label": say(kind.name) });
    const figure = element("b"), none = element("p", { hidden: "" }, say("noCalls"));
    const frame = element("div", { class: "canvas" }, sheet);
    const section = element("section", { class: "chart", "data-chart": kind.name },
                            element("h3", null, say(kind.name)), figure, frame, none);
    byId("charts").append(section);
    const chart = new Chart(sheet, {
        type: "line", options: chartOptions(kind),
        data: { datasets: kind.lines.map((_, n) => ({ data: [], borderDash: DASHES[n],
                                                      borderColor: colour(`line-${n}`) })) },
        plugins: [{ id: "marks", afterDatasetsDraw: drawChartMarks }],
    });
    section.hidden = Boolean(kind.rare);
    const made = { ...kind, chart, section, figure, none, frame, visible: false, drawn: null };
    new IntersectionObserver(([{ isIntersecting }]) => { made.visible = isIntersecting; }).observe(section);
    return made;
}

/* Some are not measured each time. */
function figureText({ lines, labels, text }) {
    const sample = samples.findLast(one => lines[0](one) !== null && one.t > samples.at(-1).t - 3000) ?? samples.at(-1);
    return lines.map((line, n) => `${labels ? labels[n] + " " : ""}${text(line(sample))}`).join(" · ");
}

function updateChart(made) {
    const last = samples.at(-1);
    if (!last || !(made.visible || made.rare) || made.drawn === last)
        return;
    made.drawn = last;
    const known = samples.some(sample => made.lines[0](sample) !== null);
    made.section.hidden = Boolean(made.rare) && !known;
    made.frame.hidden = !known;
    made.none.hidden = known || made.name !== "calls";
    setText(made.figure, figureText(made));
    if (!known)
        return;
    made.lines.forEach((line, n) => {
        made.chart.data.datasets[n].data = samples.map(sample => ({ x: sample.t, y: line(sample) ?? NaN }));
    });
    Object.assign(made.chart.options.scales.x, { min: last.t - SHOWN_MS, max: last.t });
    made.chart.update("none");
}

function colourCharts() {
    Chart.defaults.color = colour("ink");
    Chart.defaults.borderColor = colour("line");
    Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
    Chart.defaults.font.size = 13;
}

function makeCharts() {
    charts.forEach(({ chart }) => chart.destroy());
    byId("charts").replaceChildren();
    colourCharts();
    charts = CHARTS.map(makeChart);
}

function startNumbers() {
    makeCharts();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", makeCharts);
    let next = 0;
    setInterval(() => updateChart(charts[next++ % charts.length]), CHARTS_MS);
}

/* What the back row reads: the current figures beside the server's name. */
function showFigures() {
    const last = samples.at(-1);
    if (!last)
        return;
    const figures = [["answersShort", plain(last.answers)], ["p99", time(asMs(last.p99))],
                     ["errors", plain(last.errors)]];
    byId("figures").replaceChildren(...figures.map(([name, text]) =>
        element("div", null, element("dt", null, say(name)), element("dd", null, text))));
}

on("hello", ({ numbers, marks }) => {
    samples = [...numbers];
    chartMarks = [...marks];
    showFigures();
});
on("numbers", sample => {
    samples.push(sample);
    while (samples[0].t < sample.t - SHOWN_MS)
        samples.shift();
    showFigures();
});
on("mark", mark => { chartMarks = [...chartMarks, mark].filter(({ t }) => t > mark.t - SHOWN_MS); });
