/* What can be changed: the server, the load. What the server really is comes from its state alone. */

const OUTER = ["prefork", "prethread"];
const INNER = ["serial", "thread", "fork", "pool", "fiber", "fiber:epoll", "fiber:uring"];
const NUMBERED = { prefork: 4, prethread: 4, pool: 8 };
const CALLERS_MAX = 10000;

const chips = new Map();
let reality = "", saidSeen = null;

function hear(text, ok) {
    setText(byId("said"), text);
    byId("said").className = ok ? "" : "bad";
}

/* Orders, and says why where it was refused. How it went otherwise, the lab's state says. */
async function please(path, body) {
    saidSeen = null;
    hear("", true);
    const why = await order(path, body);
    if (why !== null)
        hear(why, false);
}

function isPressed(name) {
    return chips.get(name).chip.getAttribute("aria-pressed") === "true";
}

function press(name, pressed) {
    chips.get(name).chip.setAttribute("aria-pressed", pressed);
}

/* The list that the chips make: workers first. serial is what remains when nothing else is named. */
function composed() {
    const part = name => name in NUMBERED ? `${name}:${chips.get(name).count.value}` : name;
    const outer = OUTER.filter(isPressed), inner = INNER.filter(isPressed).filter(name => name !== "serial");
    return [...outer, ...inner].map(part).join("+") || "serial";
}

/* Chips as a list says; what no chip is for stays in the text. */
function decompose(list) {
    const parts = list.split("+"), named = name => parts.find(part => part === name || part.split(":")[0] === name);
    for (const name of OUTER.concat("pool")) {
        press(name, Boolean(named(name)));
        const count = named(name)?.split(":")[1];
        if (count)
            chips.get(name).count.value = count;
    }
    INNER.filter(name => name !== "pool").forEach(name => press(name, parts.includes(name)));
    if (!INNER.some(isPressed))
        press("serial", true);
}

function pressChip(name) {
    if (OUTER.includes(name))
        press(name, !isPressed(name));
    else
        INNER.forEach(other => press(other, other === name));
    showWish();
}

/* What is known to make no sense is greyed, with the reason; it can be chosen all the same: the server refuses it. */
function showWish(list = composed()) {
    const odd = name => name === "fork" && isPressed("prethread");
    for (const [name, { chip }] of chips) {
        chip.classList.toggle("odd", odd(name));
        chip.title = odd(name) ? say("oddFork") : "";
    }
    if (byId("strategy-text") !== document.activeElement)
        byId("strategy-text").value = list;
    const loops = OUTER.some(isPressed);
    const reasons = [odd("fork") && isPressed("fork") ? say("oddFork") : "",
                     !loops && !["shared", "reuseport"].includes(byId("accept").value) ? say("oddBoth") : ""];
    setText(byId("wish-note"), reasons.filter(reason => reason).join(" "));
}

function makeChips(target, names) {
    target.append(...names.map(name => {
        const attributes = { "data-strategy": name, "aria-pressed": "false", class: "chip" };
        const chip = button(name, attributes, () => pressChip(name));
        const count = name in NUMBERED ? element("input", { type: "number", min: 1, max: 10000, value: NUMBERED[name],
                                                            "aria-label": say("count", name) }) : null;
        count?.addEventListener("input", () => { press(name, false); pressChip(name); });
        chips.set(name, { chip, count });
        return element("span", { class: "chip-and-count" }, chip, count);
    }));
}

/* The options of the chosen handler; what the server runs with stands in them. */
function makeOptions() {
    const name = byId("handler").value, { server } = seen.state ?? {};
    const set = name === server?.handler ? server.options : [];
    const running = Object.fromEntries(set.map(option => option.split(/=(.*)/s)));
    const options = name.split("+").flatMap(part => seen.hello.handlers.find(one => one.name === part)?.options ?? []);
    byId("options").replaceChildren(...options.map(option => {
        const input = element("input", { type: "text", placeholder: option.value ?? "", "data-option": option.name,
                                         title: option.help, size: 8 });
        input.value = input.dataset.running = running[option.name] ?? "";
        return element("label", { title: option.help }, element("span", null, option.name), input);
    }));
}

function optionsWished() {
    return [...byId("options").querySelectorAll("input")].filter(input => input.value !== input.dataset.running)
        .map(input => `${input.dataset.option}=${input.value || input.placeholder}`);
}

function applyChange(event) {
    event.preventDefault();
    const { server } = seen.state, wished = (name, value) => value === server[name] ? null : value;
    const wish = { strategy: wished("strategy", byId("strategy-text").value.trim()),
                   accept: wished("accept", byId("accept").value), workers: null,
                   handler: wished("handler", byId("handler").value), options: optionsWished() };
    if (wish.strategy || wish.accept || wish.handler || wish.options.length)
        please("change", wish);
    else
        hear(say("nothingNew"), true);
}

function showServer(server) {
    setText(byId("strategy-now"), server.up ? server.strategy : say("down"));
    setText(byId("server-now"), server.changing ? say("changing")
        : say("serverNow", handlerText(server), server.accept, server.pid));
    document.documentElement.classList.toggle("down", !server.up);
}

/* The wish begins anew from what the server is, whenever that changes. */
function followServer(server) {
    const key = JSON.stringify([server.strategy, server.accept, server.handler, server.options]);
    if (key === reality)
        return;
    reality = key;
    decompose(server.strategy);
    byId("accept").value = server.accept;
    const names = seen.hello.handlers.map(handler => [handler.name, handler.name]);
    fillSelect(byId("handler"), names.some(([name]) => name === server.handler) ? names
        : [[server.handler, server.handler], ...names]);
    byId("handler").value = server.handler;
    makeOptions();
    showWish(server.strategy);
}

/* Load. The slider is logarithmic: a tenth of it is a fixed factor. */

const sliderOf = callers => callers ? Math.log(callers + 1) / Math.log(CALLERS_MAX + 1) * 100 : 0;
const callersOf = slider => Math.round((CALLERS_MAX + 1) ** (slider / 100) - 1);
let loadSeen = "";

function followLoad(load) {
    const key = JSON.stringify(load);
    if (key === loadSeen)
        return;
    loadSeen = key;
    byId("load-callers").value = load.callers;
    byId("load-slider").value = sliderOf(load.callers);
    byId("load-kind").value = load.kind;
    byId("load-rate").value = load.rate;
    byId("load-think").value = load.think_ms;
    byId("load-question").value = load.question;
    showLoop();
}

function showLoop() {
    byId("load-think").disabled = Number(byId("load-rate").value) > 0;
}

function applyLoad(event) {
    event?.preventDefault();
    please("load", { kind: byId("load-kind").value, callers: Number(byId("load-callers").value),
                     rate: Number(byId("load-rate").value), think_ms: Number(byId("load-think").value),
                     question: byId("load-question").value });
}

function act(what) {
    const body = ["kill", "stop"].includes(what) ? { what, pid: Number(byId("worker-choice").value) } : { what };
    please("act", body);
}

/* The processes that can be killed or stopped: those of the newest generation's lanes. */
function showProcesses() {
    const workers = new Map(), newest = newestGeneration();
    for (const lane of [...lanes.values()].sort((a, b) => a.id - b.id))
        if (lane.generation === newest && lane.owner())
            workers.set(lane.owner().pid, [...workers.get(lane.owner().pid) ?? [], workerName(lane, lane.owner())]);
    fillSelect(byId("worker-choice"), [...workers].map(([pid, names]) =>
        [pid, `${say("process", pid)} · ${names.length > 1 ? say("workersOf", names.length) : names[0]}`]));
}

function startControls() {
    makeChips(byId("outer"), OUTER);
    makeChips(byId("inner"), INNER);
    byId("change-form").addEventListener("submit", applyChange);
    byId("strategy-text").addEventListener("input", ({ target: { value } }) => { decompose(value); showWish(value); });
    byId("accept").addEventListener("change", () => showWish(byId("strategy-text").value));
    byId("handler").addEventListener("change", makeOptions);
    byId("workers-more").addEventListener("click", () => please("change", { workers: "+1" }));
    byId("workers-less").addEventListener("click", () => please("change", { workers: "-1" }));
    byId("load-form").addEventListener("submit", applyLoad);
    byId("load-rate").addEventListener("input", showLoop);
    const slider = byId("load-slider"), callers = byId("load-callers");
    slider.addEventListener("input", () => { callers.value = callersOf(slider.value); });
    slider.addEventListener("change", () => applyLoad());
    callers.addEventListener("input", () => { slider.value = sliderOf(Number(callers.value)); });
    for (const made of document.querySelectorAll("[data-act]"))
        made.addEventListener("click", () => act(made.dataset.act));
    setInterval(showProcesses, 500);
}

on("hello", hello => {
    reality = loadSeen = "";
    fillSelect(byId("accept"), hello.disciplines.map(name => [name, `${name} – ${sayOf("gate", name)}`]));
    fillSelect(byId("load-kind"), hello.kinds.map(name => [name, sayOf("", name)]));
});
on("state", state => {
    showServer(state.server);
    followServer(state.server);
    followLoad(state.load);
    const said = JSON.stringify(state.said);
    if (said !== saidSeen && state.said)
        hear(state.said.text, state.said.ok);
    saidSeen = said;
});
