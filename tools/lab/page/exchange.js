/* The exchange: callers, backlog, gate and queue in numbers, and the workers' lanes on a canvas. */

const DELAY_MS = 150;       /* drawn so much later, so that a frame is here before it is drawn */
const SPANS_MS = [10000, 3000, 1000, 300];
const FULL_LANES = 64;      /* more are drawn dense */
const LABELS_MS = 200;      /* so often labels and the arrangement are made anew */
const HEADING = 22, AXIS = 22, GAP = 14, ROW_MAX = 46, ROW_MIN = 15, PAST_ROW = 6, PAST_SHARE = 0.35;
const TWO_LINES = 37, BRIEF = 200, NARROW = 560;     /* pixels */
const DENSE = [[1, 3], [1, 2], [2, 3], [2, 2], [3, 2], [3, 1], [4, 1]];     /* columns, and pixels of a row */

const view = { span: SPANS_MS[0], pausedAt: null, cursor: null, pointer: null };
const drawnState = { width: 0, height: 0, ratio: 1, plan: null, tiles: null, labelled: 0, marks: [], inks: {} };
let pen = null;

/* Where each heading and each lane stands. Whose generation is over takes little room. */
function arrange(groups, width, height, at) {
    const all = [...groups.values()].flat(), past = all.filter(lane => isPast(lane, at));
    const count = all.length - past.length, space = height - AXIS - HEADING * groups.size;
    const pastRow = Math.max(1, Math.min(PAST_ROW, Math.floor(space * PAST_SHARE / past.length)));
    const pastTall = new Map(past.map((lane, n) => [lane, (n + 1) * pastRow > space * PAST_SHARE ? 0 : pastRow]));
    const room = space - Math.min(past.length * pastRow, Math.floor(space * PAST_SHARE));
    const full = fullRows(count, room, width), dense = count > FULL_LANES || !haveRoom(full, count, room);
    const [columns, row] = dense ? denseRows(count, room) : full;
    const columnWidth = Math.floor((width - GAP * (columns - 1)) / columns);
    const wanted = width < NARROW ? 190 : row >= TWO_LINES ? 226 : 280;
    const labels = dense ? 0 : Math.min(wanted, Math.floor(columnWidth * 0.46));
    const plan = { columns, row, dense, labels, plot: columnWidth - labels - (dense ? 0 : 8), step: columnWidth + GAP,
                   headings: [], rows: [], hidden: 0 };
    flow(plan, groups, height - AXIS, lane => pastTall.get(lane) ?? row);
    return plan;
}

function isPast(lane, at) {
    return ["retiring", "none"].includes(generations.get(lane.generation)?.state) && lane.isFreeAt(at);
}

function haveRoom([columns, row], count, room) {
    return columns * Math.floor(room / row) >= count;
}

function denseRows(count, room) {
    return DENSE.find(rows => haveRoom(rows, count, room)) ?? DENSE.at(-1);
}

function fullRows(count, room, width) {
    const rowIn = columns => Math.floor(room / Math.ceil(count / columns));
    const columns = width < NARROW ? 1 : [1, 2, 3].find(n => rowIn(n) >= 20 || n * 420 > width) ?? 3;
    return [columns, Math.max(ROW_MIN, Math.min(ROW_MAX, rowIn(columns)))];
}

function flow(plan, groups, bottom, tallOf) {
    let column = 0, y = 0;
    const place = (tall, put) => {
        if (y + tall > bottom && y > 0) {
            column++;
            y = 0;
        }
        if (column < plan.columns)
            put(column * plan.step, y);
        y += tall;
        return column < plan.columns;
    };
    for (const [number, group] of groups) {
        place(HEADING, (x, top) => plan.headings.push({ number, x, y: top }));
        for (const lane of group) {
            const tall = tallOf(lane);
            if (tall && !place(tall, (x, top) => plan.rows.push({ lane, x, y: top, column, tall })))
                plan.hidden++;
        }
    }
}

/* The height that the lanes need, where the page can scroll. */
function neededHeight(groups) {
    const count = [...groups.values()].reduce((sum, group) => sum + group.length, 0);
    return count > FULL_LANES ? 0 : count * (ROW_MIN + 3) + groups.size * HEADING + AXIS;
}

/* The right edge of what is drawn. */
function shownUntil() {
    return view.pausedAt ?? clock.at() - DELAY_MS;
}

function fitCanvas() {
    const sheet = byId("exchange"), ratio = Math.min(2, devicePixelRatio), { clientWidth, clientHeight } = sheet;
    if (drawnState.width === clientWidth && drawnState.height === clientHeight && drawnState.ratio === ratio)
        return;
    Object.assign(drawnState, { width: clientWidth, height: clientHeight, ratio, labelled: 0 });
    sheet.width = Math.round(clientWidth * ratio);
    sheet.height = Math.round(clientHeight * ratio);
}

function readColours() {
    drawnState.tiles = makeTiles();
    drawnState.swatches = STATES.map((_, state) => stateSwatch(state, drawnState.tiles));
    drawnState.labelled = 0;
    for (const name of ["paper", "ink", "soft", "line", "link", "bad", "good", "notice"])
        drawnState.inks[name] = colour(name);
    drawnState.font = getComputedStyle(document.body).fontFamily;
}

function write(text, x, y, size, ink, weight = 400, width = undefined) {
    pen.font = `${weight} ${size}px ${drawnState.font}`;
    pen.fillStyle = drawnState.inks[ink];
    if (width === undefined || pen.measureText(text).width <= width) {
        pen.fillText(text, x, y);
        return;
    }
    while (text && pen.measureText(text + "…").width > width)
        text = text.slice(0, -1);
    pen.fillText(text + "…", x, y);
}

/* What the lane's label says: who it is, and what it does at the moment. */
function laneWords(lane, at) {
    const owner = lane.ownerAt(at), n = lane.find(at);
    const stopped = seen.state?.stopped.includes(owner?.pid);
    const { state, from, port } = n < 0 ? { state: FREE, from: null, port: 0 } : lane.change(n);
    const identity = !owner ? "" : owner.tid && owner.tid !== owner.pid ? say("thread", owner.tid)
                                                                        : say("process", owner.pid);
    const brief = drawnState.plan.labels < BRIEF, rate = lane.rateAt(at);
    const lasts = rate !== null ? say("eachSecond", rate)
        : from === null || state === FREE ? "" : duration(Math.max(0, at - from));
    const doing = [say(stopped ? "stopped" : STATES[state]), port && !brief ? `:${port}` : "", lasts];
    return { name: workerName(lane, owner), identity, doing: doing.filter(part => part).join(" "), state };
}

function drawLabel({ lane, x, y }, plan, at) {
    const { name, identity, doing, state } = laneWords(lane, at), width = plan.labels - 22, row = plan.row;
    const hasTurn = lastFrame?.turn === lane.id;
    pen.fillStyle = drawnState.inks[hasTurn ? "notice" : "paper"];
    pen.fillRect(x, y, plan.labels, row);
    if (hasTurn)
        write("▶", x, y + row / 2, 12, "ink");
    if (row >= TWO_LINES) {
        write(name, x + 16, y + row * 0.3, 15, "ink", 650);
        const used = pen.measureText(name).width;
        write(identity, x + 22 + used, y + row * 0.3, 13, "soft", 400, width - used);
        pen.drawImage(drawnState.swatches[state], x + 16, y + row * 0.72 - 6, 14, 12);
        write(doing, x + 35, y + row * 0.72, 15, "ink", 400, width - 19);
    } else {
        const number = name.replace(/^\D+/, ""), pid = identity.replace(/^\D+/, "");
        const text = plan.labels < BRIEF ? `${number}  ${doing}` : `${number} · ${pid} · ${doing}`;
        pen.drawImage(drawnState.swatches[state], x + 16, y + row / 2 - 5, 12, 10);
        write(text, x + 32, y + row / 2, Math.min(14, row - 2), "ink", 400, width - 16);
    }
}

function drawLabels(plan, at) {
    pen.fillStyle = drawnState.inks.paper;
    pen.fillRect(0, 0, drawnState.width, drawnState.height);
    if (!plan.dense)
        plan.rows.filter(({ tall }) => tall >= ROW_MIN).forEach(row => drawLabel(row, plan, at));
    if (!plan.rows.length)
        write(say("nobody"), 20, 40, 18, "soft");
    const axis = drawnState.height - AXIS / 2;
    for (let column = 0; column < plan.columns; column++) {
        const left = column * plan.step + plan.labels, text = say("ago", duration(view.span));
        write(text, left, axis, 13, "soft");
        const now = view.pausedAt === null ? say("now") : say("pause");
        pen.font = `400 13px ${drawnState.font}`;
        write(now, left + plan.plot - pen.measureText(now).width, axis, 13, "soft");
    }
}

function generationText({ number, strategy, handler, state, workers, busy }) {
    return say("generation", number, strategy, handler, sayOf("generation", state), workers, busy);
}

function drawHeadings(plan) {
    const width = plan.labels + plan.plot;
    for (const { number, x, y } of plan.headings) {
        const generation = generations.get(number);
        pen.fillStyle = drawnState.inks.paper;
        pen.fillRect(x, y, width, HEADING);
        if (generation)
            write(generationText(generation), x, y + HEADING / 2, 15, "ink", 600, width);
    }
}

/* The lanes' pixels. */
function paintLanes(plan, from, scale) {
    const ratio = drawnState.ratio, width = Math.max(1, Math.floor(plan.plot * ratio));
    const height = Math.max(1, Math.floor((drawnState.height - AXIS) * ratio));
    const sampled = { scale: scale * ratio, base: Math.floor(from * scale * ratio) };
    const columns = new Uint8Array(width);
    for (let column = 0; column < plan.columns; column++) {
        const image = pen.createImageData(width, height);
        const picture = { words: new Uint32Array(image.data.buffer), width };
        picture.words.fill(drawnState.tiles[FREE].words[0]);
        for (const { lane, y, tall } of plan.rows.filter(row => row.column === column)) {
            const inset = tall < 6 ? 0 : tall < ROW_MIN ? 1 : 3;
            sampleStates(lane, sampled, columns);
            paintRow(picture, Math.round((y + inset) * ratio), Math.max(1, Math.round((tall - 2 * inset) * ratio)),
                     columns, drawnState.tiles, sampled.base % TILE);
        }
        pen.putImageData(image, Math.round((column * plan.step + plan.labels) * ratio), 0);
    }
}

function inEachPlot(plan, draw) {
    for (let column = 0; column < plan.columns; column++)
        draw(column * plan.step + plan.labels);
}

/* Lines that move with the time, so that one sees it pass. */
function drawTimeLines(plan, from, scale) {
    const step = view.span / 10, bottom = drawnState.height - AXIS, lines = new Path2D();
    inEachPlot(plan, left => {
        for (let time = Math.ceil(from / step) * step; time < from + view.span; time += step) {
            const x = Math.round(left + (time - from) * scale) + 0.5;
            lines.moveTo(x, 0);
            lines.lineTo(x, bottom);
        }
    });
    pen.globalAlpha = 0.6;
    pen.lineWidth = 1;
    pen.strokeStyle = drawnState.inks.line;
    pen.stroke(lines);
    pen.globalAlpha = 1;
}

function drawMarks(plan, from, scale) {
    const shown = drawnState.marks.filter(mark => mark.t >= from && mark.t <= from + view.span);
    pen.strokeStyle = drawnState.inks.ink;
    pen.lineWidth = 2;
    pen.setLineDash([6, 4]);
    inEachPlot(plan, left => shown.forEach(mark => {
        const x = left + (mark.t - from) * scale;
        pen.stroke(new Path2D(`M${x} 0V${drawnState.height - AXIS}`));
    }));
    pen.setLineDash([]);
    inEachPlot(plan, left => {
        let free = plan.dense && left > 0 ? Infinity : left;
        shown.forEach(mark => {
            const x = Math.max(free, left + (mark.t - from) * scale + 3), text = sayOf("mark", mark.what);
            pen.font = `600 13px ${drawnState.font}`;
            const wide = pen.measureText(text).width + 8;
            pen.fillStyle = drawnState.inks.ink;
            if (x + wide > left + plan.plot + 4)
                return;
            pen.fillRect(x, HEADING, wide, 18);
            write(text, x + 4, HEADING + 9.5, 13, "paper", 600);
            free = x + wide + 3;
        });
    });
}

/* Who was there within the time: {at, row, owner}, with when it began or died in pixels. */
function ownersWhen(plan, when, from, scale) {
    return plan.rows.flatMap(row => row.lane.owners.filter(owner => owner[when] > from).map(owner =>
        ({ row, owner, at: row.x + plan.labels + (owner[when] - from) * scale })))
        .filter(({ row, at }) => at < row.x + plan.labels + plan.plot);
}

function drawCrosses(plan, from, scale) {
    const path = new Path2D();
    for (const { row, at } of ownersWhen(plan, "died", from, scale).slice(0, 100)) {
        const half = Math.max(4, Math.min(9, row.tall / 2 - 2)), size = 2 * half;
        const corner = `M${at - half} ${row.y + row.tall / 2 - half}`;
        path.addPath(new Path2D(`${corner}l${size} ${size}m0 ${-size}l${-size} ${size}`));
    }
    for (const [width, ink] of [[7, "paper"], [3.5, "bad"]]) {
        pen.lineWidth = width;
        pen.strokeStyle = drawnState.inks[ink];
        pen.stroke(path);
    }
}

/* A successor: a flag where it begins. */
function drawBeginnings(plan, from, scale) {
    pen.fillStyle = drawnState.inks.good;
    for (const { row, owner, at } of plan.dense ? [] : ownersWhen(plan, "from", from, scale))
        if (owner.accepts && owner.begins)
            pen.fill(new Path2D(`M${at} ${row.y + 1}v${row.tall - 2}h2v${-row.tall / 2}l8 -4l-8 -4v-4z`));
}

function drawTurnAndCursor(plan, from, scale) {
    for (const row of plan.rows) {
        const chosen = view.cursor?.lane === row.lane, width = plan.labels + plan.plot;
        if (lastFrame?.turn === row.lane.id && plan.dense)
            write("▶", row.x, row.y + 1, 10, "ink");
        if (!chosen)
            continue;
        pen.strokeStyle = drawnState.inks.link;
        pen.lineWidth = 2;
        pen.strokeRect(row.x + 1, row.y, width - 2, Math.max(4, row.tall - 1));
        const x = row.x + plan.labels + (view.cursor.time - from) * scale;
        pen.stroke(new Path2D(`M${x} ${row.y - 4}v${row.tall + 8}`));
    }
}

function draw() {
    fitCanvas();
    const at = shownUntil(), now = performance.now();
    if (!Number.isFinite(at) || !drawnState.width)
        return;
    pen.setTransform(drawnState.ratio, 0, 0, drawnState.ratio, 0, 0);
    pen.textBaseline = "middle";
    if (now - drawnState.labelled > LABELS_MS) {
        const groups = shownLanes(at);
        growForLanes(groups);
        drawnState.plan = arrange(groups, drawnState.width, drawnState.height, at);
        drawnState.labelled = now;
        drawLabels(drawnState.plan, at);
        showTip(at);
    }
    const plan = drawnState.plan, from = at - view.span, scale = plan.plot / view.span;
    paintLanes(plan, from, scale);
    drawTimeLines(plan, from, scale);
    drawBeginnings(plan, from, scale);
    drawCrosses(plan, from, scale);
    drawMarks(plan, from, scale);
    drawHeadings(plan);
    drawTurnAndCursor(plan, from, scale);
    drawnState.from = from;
    drawnState.scale = scale;
}

/* On a phone the lanes take as much of the page as they need. */
function growForLanes(groups) {
    const needed = document.body.clientWidth < 700 ? neededHeight(groups) : 0;
    byId("exchange").style.minHeight = needed ? `${needed}px` : "";
}

const frameTimes = [];

function animate(now) {
    frameTimes.push(now);
    while (frameTimes[0] < now - 1000)
        frameTimes.shift();
    draw();
    const { plan } = drawnState;
    window.lab = { lanes: plan?.rows.length ?? 0, dense: plan?.dense ?? false, fps: frameTimes.length, missed,
                   state: seen.state };
    requestAnimationFrame(animate);
}

/* The cursor: a lane and a time, by the mouse or by the keys. */

function tipText({ lane, time }, at) {
    const n = lane.find(time), owner = lane.ownerAt(time);
    const { state, from, to, port } = n < 0 ? { state: FREE, from: null, to: null, port: 0 } : lane.change(n);
    const rate = lane.rateAt(time);
    const lasted = rate !== null ? say("eachSecond", rate)
        : to !== null && to <= at ? say("tipFor", duration(to - from)) : say("tipSince", duration(at - from));
    const parts = [`${workerName(lane, owner)} (${say("process", owner?.pid ?? "?")})`, say(STATES[state]),
                   port ? say("tipCaller", port) : null,
                   from === null ? null : lasted,
                   say("ago", duration(Math.max(0, at - (from ?? time))))];
    return parts.filter(part => part).join(" · ");
}

function showTip(at) {
    if (view.pointer)
        view.cursor = cursorUnder(view.pointer);
    byId("tip").hidden = !view.cursor;
    if (view.cursor)
        setText(byId("tip"), tipText(view.cursor, at));
}

function cursorUnder({ x, y }) {
    const { plan, from, scale } = drawnState;
    const row = plan.rows.find(row => y >= row.y && y < row.y + row.tall && x >= row.x && x < row.x + plan.step - GAP);
    return row ? { lane: row.lane, time: from + Math.max(0, x - row.x - plan.labels) / scale } : null;
}

function pointAt({ offsetX, offsetY }) {
    view.pointer = offsetX === undefined ? null : { x: offsetX, y: offsetY };
    view.cursor = null;
    if (drawnState.plan)
        showTip(shownUntil());
}

function chooseLane(lane) {
    const pid = lane.owner()?.pid;
    if (pid && [...byId("worker-choice").options].some(option => option.value === String(pid)))
        byId("worker-choice").value = pid;
}

/* To the next or previous bar of this lane, or to the same moment of another lane. */
function moveCursor(bars, by) {
    const rows = drawnState.plan?.rows ?? [];
    if (!rows.length)
        return;
    hold();
    const now = shownUntil(), { lane, time } = view.cursor ?? { lane: null, time: now };
    const index = rows.findIndex(row => row.lane === lane);
    const chosen = rows[index < 0 ? 0 : Math.max(0, Math.min(rows.length - 1, index + by))].lane;
    let at = time;
    if (bars) {
        const n = chosen.find(time) + bars;
        if (n >= chosen.oldest() && n < chosen.count && chosen.change(n).from <= now)
            at = Math.max(chosen.change(n).from, drawnState.from);
    }
    view.pointer = null;
    view.cursor = { lane: chosen, time: at };
    showTip(now);
}

function hold() {
    if (playback)
        playback.pause();
    else if (view.pausedAt === null)
        pauseAt(shownUntil());
}

function pauseAt(time) {
    view.pausedAt = time;
    keptSince = time === null ? null : time - KEPT_MS;
    setText(byId("pause"), say(time === null ? "pause" : "goOn"));
    byId("pause").setAttribute("aria-pressed", time !== null);
}

function togglePause() {
    if (playback)
        playback.toggle();
    else
        pauseAt(view.pausedAt === null ? shownUntil() : null);
}

function zoomBy(steps) {
    const index = SPANS_MS.indexOf(view.span) + steps;
    if (index in SPANS_MS)
        zoomTo(SPANS_MS[index]);
}

function zoomTo(span) {
    view.span = span;
    byId("zoom").value = span;
    drawnState.labelled = 0;
}

function listenToCanvas(sheet) {
    sheet.addEventListener("pointermove", pointAt);
    sheet.addEventListener("pointerleave", () => pointAt({}));
    sheet.addEventListener("click", () => view.cursor && chooseLane(view.cursor.lane));
    let turned = 0;
    sheet.addEventListener("wheel", event => {
        event.preventDefault();
        turned += event.deltaY;
        if (Math.abs(turned) >= 80) {
            zoomBy(turned < 0 ? 1 : -1);
            turned = 0;
        }
    }, { passive: false });
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    sheet.addEventListener("keydown", event => {
        if (event.key in moves)
            moveCursor(...moves[event.key]);
        else if (event.key === "Enter" && view.cursor)
            chooseLane(view.cursor.lane);
        else if (event.key === "Escape")
            pointAt({});
        else
            return;
        event.preventDefault();
    });
}

/* Callers, backlog, gate, queue. */

const HEAP_ACROSS = 5, HEAP_MAX = 60;

/* So many dots as there are callers; what is too many is only in the number. */
function showStation(id, count, help) {
    const station = byId(id), [full, rest] = station.querySelectorAll(".heap i");
    const shown = Math.min(HEAP_MAX, count ?? 0);
    const figure = station.querySelector("b");
    setText(figure, String(count ?? "?"));
    figure.classList.toggle("long", count > 999);
    setText(station.querySelector("small"), help);
    full.style.height = `calc(${Math.floor(shown / HEAP_ACROSS)} * var(--dot))`;
    rest.style.width = `calc(${shown % HEAP_ACROSS} * var(--dot))`;
}

function besideText(beside) {
    const list = ["slow", "hold", "burst", "crash"].filter(what => beside[what])
        .map(what => sayOf("beside", what, beside[what]));
    return list.length ? say("beside", list.join(say("comma"))) : "";
}

function showCallers({ load, beside }) {
    const more = Object.values(beside).reduce((sum, count) => sum + count, 0);
    showStation("callers", load.callers + more, besideText(beside) || sayOf("", load.kind).split(/[:：]/)[0]);
}

function showGate({ server }) {
    setText(byId("gate").querySelector("b"), server.accept);
    setText(byId("gate").querySelector("small"), sayOf("gate", server.accept));
    byId("queue").hidden = !server.strategy.includes("pool");
    byId("gate").dataset.discipline = server.accept;
}

function showFrame({ waiting, queue, turn, coarse }) {
    showStation("backlog", waiting, say(waiting === null ? "notKnown" : "backlogHelp"));
    showStation("queue", queue, say(queue === null ? "notKnown" : "queueHelp"));
    const taking = ["mutex", "flock"].includes(seen.state?.server.accept), lane = lanes.get(turn);
    setText(byId("turn"), !taking ? "" : lane ? say("turn", workerName(lane, lane.owner())) : say("nobodysTurn"));
    const notes = [missed && say("missed", number(missed)), coarse && say("coarse", rounded(coarse)),
                   drawnState.plan?.hidden && say("lanesHidden", drawnState.plan.hidden)];
    setText(byId("lanes-note"), notes.filter(note => note).join(" · "));
}

function drawLegend() {
    const sign = (name, text) => element("b", { class: name, "aria-hidden": "true" }, text);
    const states = [STARTING, WAITING, 3, 4, 5, 6, 7];
    byId("legend").replaceChildren(
        ...states.map(state => element("li", null, stateSwatch(state, drawnState.tiles), say(STATES[state]))),
        element("li", null, sign("cross", "✕"), say("dead")), element("li", null, sign("flag", "⚑"), say("born")));
}

function startExchange() {
    const sheet = byId("exchange");
    pen = sheet.getContext("2d", { alpha: false, willReadFrequently: true });
    const recolour = () => { readColours(); drawLegend(); };
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
    recolour();
    fillSelect(byId("zoom"), SPANS_MS.map(span =>
        [span, span < 1000 ? say("lastMilliseconds", span) : say("lastSeconds", span / 1000)]));
    byId("zoom").addEventListener("change", event => zoomTo(Number(event.target.value)));
    byId("pause").addEventListener("click", togglePause);
    pauseAt(null);
    listenToCanvas(sheet);
    requestAnimationFrame(animate);
}

on("hello", ({ marks }) => { drawnState.marks = [...marks]; pauseAt(null); });
on("mark", mark => {
    drawnState.marks.push(mark);
    drawnState.marks = drawnState.marks.filter(({ t }) => t > (keptSince ?? mark.t - KEPT_MS));
});
on("state", state => { showCallers(state); showGate(state); });
on("frame", showFrame);
