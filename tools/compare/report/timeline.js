/* The timeline of a real run: a panel for each strategy, in it a lane for each worker, in it a bar for each request. */

const PHASES = [
    ["backlog", "in the backlog"],
    ["queued", "queued for a worker"],
    ["handling", "handled"],
    ["waiting", "the handler waits"],
];
const FEW = [10, 40], ALL_AT_ONCE = 40;
const THIN = 6, PATTERNED_MAX = 120;     /* thin bars show no pattern, and many take long to print */

/* When each phase ends. What is not known had not come when the recording ended. */
function phaseEnds(request, horizon) {
    const end = request.ended_ms ?? request.answered_ms ?? horizon;
    const began = request.began_ms ?? end, accepted = request.accepted_ms ?? began;
    return { accepted, began, end, last: Math.max(end, request.answered_ms ?? 0) };
}

function lastMoment(requests) {
    return requests.reduce((last, request) => Math.max(last, request.called_ms, request.accepted_ms ?? 0,
        request.began_ms ?? 0, request.ended_ms ?? 0, request.answered_ms ?? 0), 0);
}

/* Each request gets the first row of its lane that is free; returns how many rows the lane has. */
function pack(requests, horizon) {
    const freeFrom = [];
    for (const request of requests) {
        const row = freeFrom.findIndex(from => from <= request.called_ms);
        request.row = row < 0 ? freeFrom.length : row;
        freeFrom[request.row] = phaseEnds(request, horizon).last;
    }
    return freeFrom.length;
}

const isUntaken = request => request.began_ms === null;
const laneName = request => isUntaken(request) ? (NARROW.matches ? "–" : "nobody") : String(request.lane + 1);

/* What is seen of a panel: lanes with their requests. Those that nobody handled have the last lane for themselves. */
function seenLanes(panel, view) {
    const lanes = new Map();
    for (const request of panel.requests.slice(0, view.count)) {
        const lane = isUntaken(request) ? Infinity : request.lane;
        if (request.called_ms <= view.to && phaseEnds(request, panel.horizon).last >= view.from)
            lanes.set(lane, [...lanes.get(lane) ?? [], request]);
    }
    return [...lanes].sort(([a], [b]) => a - b)
        .map(([, requests]) => ({ name: laneName(requests[0]), requests, rows: pack(requests, panel.horizon) }));
}

/* How many handlers ran or waited at the same time. */
function mostAtOnce(requests, horizon) {
    const changes = requests.filter(request => request.began_ms !== null)
        .flatMap(request => [[request.began_ms, 1], [phaseEnds(request, horizon).end, -1]])
        .sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    let now = 0, most = 0;
    for (const [, change] of changes)
        most = Math.max(most, now += change);
    return most;
}

function waited(request) {
    return (request.waits ?? []).reduce((sum, [from, to]) => sum + (to ?? from) - from, 0);
}

function told(request, horizon) {
    const { accepted, began, end } = phaseEnds(request, horizon);
    const ms = time => `${milliseconds(time)} ms`;
    return `called at ${ms(request.called_ms)}; backlog ${ms(accepted - request.called_ms)}, `
        + `queue ${ms(began - accepted)}, handled ${ms(end - began)}, of it waiting ${ms(waited(request))}; `
        + (request.answered_ms === null ? "no answer" : `answered at ${ms(request.answered_ms)}`);
}

function requestBar(request, x, y, height, horizon) {
    const { accepted, began, end, last } = phaseEnds(request, horizon);
    const width = (from, to) => x(to) - x(from) - (to === last && x(to) - x(from) > 4 ? 1 : 0);
    const part = (phase, from, to) => to > from
        ? [drawn("rect", { class: phase, x: x(from), y, width: Math.max(0.6, width(from, to)), height })] : [];
    const failed = request.answered_ms === null ? [drawn("path", {
        class: "failed", d: `M${x(last) + 2} ${y + height / 2 - 3}l6 6m0 -6l-6 6`,
    })] : [];
    return drawn("g", { class: "request" }, drawn("title", {}, told(request, horizon)),
        ...part("backlog", request.called_ms, accepted), ...part("queued", accepted, began),
        ...part("handling", began, end),
        ...(request.waits ?? []).flatMap(([from, to]) => part("waiting", from, to ?? end)),
        ...failed);
}

/* Round times, at most about `most` of them. */
function ticks(from, to, most) {
    const rough = Math.max((to - from) / most, 1e-6), power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find(factor => factor * power >= rough);
    const first = Math.ceil(from / step), count = Math.floor(to / step) - first + 1;
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    return Array.from({ length: count }, (_, n) => [(first + n) * step, number((first + n) * step, digits)]);
}

function drawAxis(svg, view, scale, height, plot, gutter) {
    for (const [time, text] of ticks(view.from, view.to, plot / 90)) {
        svg.append(drawn("path", { class: "grid", d: `M${gutter + scale(time)} 0V${height + 4}` }));
        svg.append(drawn("text", { class: "tick", x: gutter + scale(time), y: height + 18 }, text));
    }
}

/* What the view shows of one strategy, as wide as it is shown. */
function drawPanel(panel, view, width) {
    const lanes = seenLanes(panel, view), rows = lanes.reduce((sum, lane) => sum + lane.rows, 0);
    const gutter = NARROW.matches ? 30 : 62, margin = 12, axis = 22, plot = Math.max(50, width - gutter - margin);
    const row = Math.max(3, Math.min(16, Math.floor(260 / rows))), gap = row < THIN ? 0 : 4;
    const dense = row < THIN || lanes.flatMap(lane => lane.requests).length > PATTERNED_MAX;
    const height = rows * row + lanes.length * gap;
    const scale = time => (time - view.from) / (view.to - view.from) * plot;
    const svg = drawn("svg", {
        class: dense ? "panel dense" : "panel", viewBox: `0 0 ${width} ${height + axis}`, role: "img",
        "aria-label": `Timeline of ${panel.name}; the table below tells the same in figures`,
    });
    const inner = drawn("svg", { x: gutter, y: 0, width: plot + margin, height });
    drawAxis(svg, view, scale, height, plot, gutter);
    let y = 0;
    for (const lane of lanes) {
        const tall = lane.rows * row;
        if (tall >= 13)
            svg.append(drawn("text", { class: "lane", x: gutter - 6, y: y + tall / 2 + 4.5 }, lane.name));
        if (gap)
            svg.append(drawn("path", { class: "grid", d: `M${gutter} ${y + tall + gap / 2}H${gutter + plot}` }));
        inner.append(...lane.requests.map(request =>
            requestBar(request, scale, y + request.row * row, row - (gap ? 1.5 : 0.5), panel.horizon)));
        y += tall + gap;
    }
    svg.append(inner);
    return svg;
}

function phaseLegend() {
    const swatch = phase => drawn("svg", { width: 26, height: 14, "aria-hidden": "true", class: "swatch" },
        drawn("rect", { class: phase, x: 0.5, y: 0.5, width: 25, height: 13 }));
    const cross = drawn("svg", { width: 14, height: 14, "aria-hidden": "true", class: "swatch" },
        drawn("path", { class: "failed", d: "M3 3l8 8m0 -8l-8 8" }));
    return element("ul", { class: "legend" }, PHASES.map(([phase, text]) => element("li", null, swatch(phase), text)),
        element("li", null, cross, "no answer"));
}

/* Sets what is viewed: buttons for the first requests or all, and sliders for a part of their time. */
function viewControls(panels, view, changed) {
    const most = Math.max(...panels.map(panel => panel.requests.length));
    const until = count => Math.max(...panels.map(panel => lastMoment(panel.requests.slice(0, count)))) || 1;
    const slider = () => element("input", { type: "range", min: 0, max: 1000, step: 5 });
    const from = slider(), to = slider(), said = element("output", null);
    const show = () => {
        const whole = until(view.count) / 1000;
        view.from = from.valueAsNumber * whole;
        view.to = to.valueAsNumber * whole;
        said.textContent = `${milliseconds(view.from)} to ${milliseconds(view.to)} ms`;
        changed();
    };
    const buttons = [...FEW.filter(count => count < most), most].map(count => {
        const text = count === most ? "All requests" : `First ${count} requests`;
        const button = element("button", { type: "button" }, text);
        button.addEventListener("click", () => {
            buttons.forEach(other => other.setAttribute("aria-pressed", other === button));
            view.count = count;
            from.value = 0;
            to.value = 1000;
            show();
        });
        return button;
    });
    from.addEventListener("input", () => { to.value = Math.max(to.value, from.valueAsNumber + 5); show(); });
    to.addEventListener("input", () => { from.value = Math.min(from.value, to.valueAsNumber - 5); show(); });
    (most <= ALL_AT_ONCE ? buttons.at(-1) : buttons[0]).click();
    return element("div", { class: "window", role: "group", "aria-label": "What is shown" },
        buttons, element("label", null, "From", from), element("label", null, "to", to), said);
}

function timelineTable(panels) {
    const middle = (panel, duration) => {
        const known = panel.requests.filter(request => request.began_ms !== null);
        const durations = known.map(request => duration(request, phaseEnds(request, panel.horizon)));
        return durations.length ? milliseconds(median(durations)) : null;
    };
    return table("Medians of all requests, in ms",
        [["Strategy", "text"], ["Requests", "number"], ["Answered", "number"], ["Workers", "number"], ["Most handled at once", "number"],
         ["In the backlog", "number"], ["Queued", "number"], ["Handled", "number"], ["Of it waiting", "number"],
         ["All over after", "number"]],
        panels.map(panel => [panel.name, number(panel.requests.length),
            number(panel.requests.filter(request => request.answered_ms !== null).length), number(panel.workers),
            number(mostAtOnce(panel.requests, panel.horizon)),
            middle(panel, (request, ends) => ends.accepted - request.called_ms),
            middle(panel, (request, ends) => ends.began - ends.accepted),
            middle(panel, (request, ends) => ends.end - ends.began),
            middle(panel, waited), milliseconds(panel.horizon)]));
}

/* Each request's own figures, made when somebody opens them. */
function everyRequest(panels) {
    const time = value => value === null ? null : number(value, 3);
    const details = element("details", { class: "every" }, element("summary", null, "Every request in figures"));
    details.addEventListener("toggle", () => {
        if (details.querySelector("table"))
            return;
        details.append(table("Times in ms since the first call",
            [["Strategy", "text"], ["Lane", "text"], ["Called", "number"], ["Taken", "number"],
             ["Handler began", "number"], ["Handler ended", "number"], ["Answered", "number"], ["Waited", "number"]],
            panels.flatMap(panel => panel.requests.map(request =>
                [panel.name, laneName(request), time(request.called_ms), time(request.accepted_ms),
                 time(request.began_ms), time(request.ended_ms), time(request.answered_ms), time(waited(request))]))));
        letKeysScroll();
    });
    return details;
}

function panelSize({ requests, workers, dropped }) {
    const size = `${plural(requests.length, "request")}, ${plural(workers, "worker")}`;
    return dropped ? `${size}; the record was full, ${plural(dropped, "change")} of state left out` : size;
}

function timelinePanel({ name, timeline: { lanes, requests, dropped } }) {
    return { name, dropped, workers: lanes.length, horizon: lastMoment(requests),
             requests: [...requests].sort((a, b) => a.called_ms - b.called_ms) };
}

function timelineFigure(contestants) {
    const panels = contestants.filter(contestant => contestant.timeline?.requests.length).map(timelinePanel);
    if (!panels.length)
        return null;
    const frames = panels.map(panel => element("div", { class: "strategy" },
        element("h4", null, panel.name, element("span", null, panelSize(panel)))));
    const view = {}, board = element("div", { class: "board" }, frames);
    let shown = new Set(panels.keys()), width = 0;
    const draw = () => {
        width = board.clientWidth;
        frames.forEach((frame, n) => {
            frame.hidden = !shown.has(n);
            frame.querySelector(".panel")?.remove();
            if (!frame.hidden && width)
                frame.append(drawPanel(panels[n], view, width));
        });
    };
    const choose = chooser("Strategies", panels, () => "", ticked => { shown = ticked; draw(); });
    const controls = viewControls(panels, view, draw);
    redraws.push(draw);
    new ResizeObserver(() => board.clientWidth === width || requestAnimationFrame(draw)).observe(board);
    const made = figure("What happened, request by request",
        ["A short run, recorded. A lane is a worker (a process, a thread or a fiber), and a bar is a request, from its "
         + "call to its end: first it waits in the backlog until the server takes it, then perhaps for a worker, then "
         + "it is handled. Requests of one lane that overlap lie one below another. All strategies have the same time "
         + "axis, in ms."],
        [phaseLegend(), choose, controls, board], element("div", null, timelineTable(panels), everyRequest(panels)));
    made.classList.add("timeline");
    return made;
}
