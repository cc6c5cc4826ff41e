/* Charts by Chart.js. `redraws` draw them anew, in the colours and the width of the moment. */

const redraws = [];
const NARROW = matchMedia("(max-width: 40rem)");
const DASHES = [[], [9, 4], [2, 3], [12, 3, 2, 3], [5, 5], [16, 4], [12, 3, 2, 3, 2, 3], [1, 2]];
const LINES = DASHES.length;

Chart.defaults.animation = false;
Chart.defaults.maintainAspectRatio = false;
Chart.defaults.events = [];
Chart.defaults.plugins.legend.display = false;

function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
}

function redrawAll() {
    Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
    Chart.defaults.font.size = NARROW.matches ? 12 : 15;
    Chart.defaults.color = colour("ink");
    Chart.defaults.borderColor = colour("line");
    redraws.forEach(redraw => redraw());
}

/* A canvas on which configure() is drawn, now and whenever the colours change. */
function canvas(label, height, configure) {
    const sheet = element("canvas", { role: "img", "aria-label": label });
    const frame = element("div", { class: "canvas" }, sheet);
    frame.style.height = height + "px";
    let chart = null;
    redraws.push(() => {
        chart?.destroy();
        chart = new Chart(sheet, configure());
    });
    return { frame, chart: () => chart };
}

/* Stripes, so that what they fill differs from its neighbour by more than a colour. */
function stripes(stripe, ground) {
    const tile = document.createElement("canvas"), pen = tile.getContext("2d");
    tile.width = tile.height = 8;
    pen.fillStyle = ground;
    pen.fillRect(0, 0, 8, 8);
    pen.strokeStyle = stripe;
    pen.lineWidth = 2.5;
    for (const shift of [-8, 0, 8]) {
        pen.moveTo(shift - 2, 10);
        pen.lineTo(shift + 10, -2);
    }
    pen.stroke();
    return pen.createPattern(tile, "repeat");
}

/* From quartile to quartile a line with ends, and behind it the median in figures. */
function drawWhiskers(chart, spreads) {
    const pen = chart.ctx, { x, y } = chart.scales;
    pen.save();
    pen.strokeStyle = pen.fillStyle = Chart.defaults.color;
    pen.font = Chart.helpers.toFont(Chart.defaults.font).string;
    pen.lineWidth = 1.5;
    pen.textBaseline = "middle";
    spreads.forEach((spread, row) => {
        if (!spread)
            return;
        const at = y.getPixelForValue(row), path = new Path2D();
        const low = x.getPixelForValue(spread.low), high = x.getPixelForValue(spread.high);
        if (spread.low < spread.high)
            path.addPath(new Path2D(`M${low} ${at}H${high}M${low} ${at - 5}v10M${high} ${at - 5}v10`));
        pen.stroke(path);
        pen.fillText(spread.text, Math.max(high, x.getPixelForValue(spread.median)) + 7, at);
    });
    pen.restore();
}

/* Names as labels of the rows; long ones in pieces. */
function rowLabel(name, mark) {
    const length = NARROW.matches ? 14 : 26;
    const pieces = name.length > length ? name.split(/(?=@)/) : [name];
    return [...pieces.flatMap(piece => piece.match(new RegExp(`.{1,${length}}`, "gsu"))), ...mark];
}

/* rows: [{label: [line, ...], spread: {median, low, high, text} or null}]; layers: [{name, values, fill, edge}]. */
function barChart(rows, axis, layers, legend) {
    const room = Math.max(0, ...rows.map(row => row.spread?.text.length ?? 0)) * Chart.defaults.font.size * 0.62 + 12;
    return {
        type: "bar",
        data: {
            labels: rows.map(row => row.label.length > 1 ? row.label : row.label[0]),
            datasets: layers.map(layer => ({
                label: layer.name, data: layer.values, backgroundColor: layer.fill, borderColor: layer.edge,
                borderWidth: 1, barPercentage: 0.72, categoryPercentage: 1, stack: "all",
            })),
        },
        options: {
            indexAxis: "y",
            layout: { padding: { right: room } },
            scales: {
                x: { beginAtZero: true, suggestedMax: Math.max(0, ...rows.map(row => row.spread?.high ?? 0)),
                     title: { display: true, text: axis }, grid: { drawBorder: false },
                     ticks: { maxTicksLimit: NARROW.matches ? 4 : 6, maxRotation: 0, autoSkipPadding: 12 } },
                y: { stacked: true, grid: { display: false, drawBorder: false }, ticks: { autoSkip: false } },
            },
            plugins: { legend: { display: legend, align: "start", labels: { boxWidth: 22 } } },
        },
        plugins: [{ id: "whiskers", afterDatasetsDraw: chart => drawWhiskers(chart, rows.map(row => row.spread)) }],
    };
}

function barHeight(rows, legend) {
    return 78 + 34 * rows + (legend ? 36 : 0);
}

function lineColour(n) {
    return colour("line-" + n % LINES);
}

function lineSwatch(n) {
    return drawn("svg", { width: 34, height: 10, "aria-hidden": "true", class: "swatch" },
        drawn("path", { d: "M1 5H33", style: `stroke: var(--line-${n % LINES})`,
                        "stroke-dasharray": DASHES[n % LINES] }));
}

/* How long the fastest share of all requests took: x is 1/(1 - share), so that each power of ten is one more nine. */
function latencyPoints(latency) {
    let before = 0;
    return latency.distribution.map(([us, count]) => {
        before += count;
        return { x: latency.count / Math.max(1, latency.count - before), y: us };
    });
}

function roundDown(value) {
    const power = 10 ** Math.floor(Math.log10(value));
    return power * [5, 2, 1].find(factor => factor * power <= value);
}

/* Ticks of a scale from min to max: 1, 2, 5, 10, or over many powers of ten only these. */
function roundTimes(min, max) {
    const steps = max / min > 1e4 ? [1] : [1, 2, 5];
    const powers = Array.from({ length: 14 }, (_, n) => 10 ** (n - 2));
    return powers.flatMap(power => steps.map(step => ({ value: Number((step * power).toPrecision(1)) })))
        .filter(({ value }) => value >= min && value <= max);
}

/* Each line's name beside its end, moved so that none lies on another. */
function drawNames(chart) {
    const pen = chart.ctx, left = chart.chartArea.right, step = Chart.defaults.font.size * 1.25;
    const ends = chart.data.datasets.map((line, n) => ({ line, last: chart.getDatasetMeta(n).data.at(-1) }))
        .filter(({ last }, n) => last && chart.isDatasetVisible(n)).sort((a, b) => a.last.y - b.last.y);
    let lowest = chart.chartArea.top;
    const total = Math.max(0, chart.chartArea.bottom - step * ends.length);
    pen.save();
    pen.font = Chart.helpers.toFont(Chart.defaults.font).string;
    pen.textBaseline = "middle";
    ends.forEach(({ line, last }, n) => {
        const y = Math.max(lowest, Math.min(last.y, total + step * n));
        lowest = y + step;
        pen.strokeStyle = pen.fillStyle = line.borderColor;
        pen.setLineDash([1, 3]);
        pen.stroke(new Path2D(`M${last.x} ${last.y}L${left + 12} ${y}`));
        pen.fillText(line.label, left + 16, y);
    });
    pen.restore();
}

function latencyChart(contestants, shown) {
    const lines = contestants.map((contestant, n) => ({
        label: contestant.name, data: latencyPoints(contestant.latency), hidden: !shown.has(n), parsing: false,
        borderColor: lineColour(n), borderDash: DASHES[n % LINES], borderWidth: 2.5, pointRadius: 0, showLine: true,
    }));
    const most = Math.max(...contestants.map(contestant => contestant.latency.count));
    const nines = [1, 2, 10, 100, 1000, 10000, 100000, 1e6].filter(nine => nine <= most);
    const least = Math.min(...contestants.map(({ latency }) => latencyPoints(latency).find(point => point.x > 1.1).y));
    const longest = Math.max(...contestants.map(contestant => contestant.name.length));
    return {
        type: "scatter",
        data: { datasets: lines },
        options: {
            layout: { padding: NARROW.matches ? { right: 12 } : { right: longest * 8 + 22 } },
            scales: {
                x: {
                    type: "logarithmic", min: 1, max: Math.max(2, most), grid: { drawBorder: false },
                    title: { display: true, text: "Share of the requests that took no longer" },
                    afterBuildTicks: scale => { scale.ticks = nines.map(value => ({ value })); },
                    ticks: { callback: nine => `${Number((100 * (1 - 1 / nine)).toPrecision(8))} %`,
                             autoSkip: false, maxRotation: NARROW.matches ? 60 : 0 },
                },
                y: { type: "logarithmic", min: roundDown(least), title: { display: true, text: "Latency" },
                     grid: { drawBorder: false }, ticks: { callback: shortTime, autoSkip: false },
                     afterBuildTicks: scale => { scale.ticks = roundTimes(scale.min, scale.max); } },
            },
        },
        plugins: NARROW.matches ? [] : [{ id: "names", afterDatasetsDraw: drawNames }],
    };
}
