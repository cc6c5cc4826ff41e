/* Where events come from: the lab, or a recording within the page. Who wants an event says on(name, then). */

const listeners = {};
const seen = { hello: null, state: null };      /* the last of each */

function on(name, then) {
    (listeners[name] ??= []).push(then);
}

function tell(name, event) {
    if (name in seen)
        seen[name] = event;
    for (const then of listeners[name] ?? [])
        then(event);
}

function showConnection(state) {
    const shown = byId("connection");
    shown.dataset.state = state;
    setText(shown, say(state === "recording" ? "recorded" : state));
}

/* The lab's time, from this page's: by the frame that took least to come. It creeps, for clocks that differ. */
const CREEP_MS = 0.01;
const clock = {
    offset: Infinity,
    heard(t) { this.offset = Math.min(this.offset + CREEP_MS, performance.now() - t); },
    at() { return performance.now() - this.offset; },
};

/* Connects, and again whenever the connection is lost; `silence_ms`: so long without an event, and it is lost. */
const AGAIN_MS = 1000, SILENCE_MS = 5000;

function connect(names, silence_ms) {
    let source = null, alive = 0;
    const open = () => {
        source = new EventSource("events");
        alive = performance.now();
        source.addEventListener("open", () => showConnection("live"));
        source.addEventListener("error", lose);
        names.forEach(name => source.addEventListener(name, ({ data }) => {
            alive = performance.now();
            tell(name, JSON.parse(data));
        }));
    };
    const lose = async () => {
        if (!source)
            return;
        source.close();
        source = null;
        const refused = await fetch(".", { cache: "no-store" }).then(answer => answer.status === 403, () => false);
        showConnection(refused ? "refused" : "lost");
        setTimeout(open, AGAIN_MS);
    };
    open();
    if (silence_ms)
        setInterval(() => performance.now() - alive > silence_ms && lose(), AGAIN_MS);
}

/* Plays [t, name, event] in their order; a step back begins anew. */
const SPEED_CHOICES = [0.1, 0.25, 0.5, 1, 2, 5];
let playback = null;        /* of a recording: what pauses it */

function player(events) {
    const first = events[0]?.[0] ?? 0, last = events.at(-1)?.[0] ?? 0;
    let next = 0, position = first, before = performance.now(), playing = true;
    const seek = to => {
        if (to < position)
            next = 0;
        position = Math.min(to, last);
        while (next < events.length && events[next][0] <= position)
            tell(events[next][1], events[next++][2]);
    };
    const toggle = button(say("pause"), { id: "play" }, () => {
        playing = !playing;
        if (playing && position >= last)
            seek(first);
        setText(toggle, say(playing ? "pause" : "play"));
    });
    playback = { toggle: () => toggle.click(), pause: () => playing && toggle.click() };
    const speed = element("select", { id: "player-speed" },
        SPEED_CHOICES.map(times => element("option", { value: times }, `${times} ×`)));
    speed.value = 1;
    const slider = element("input", { type: "range", id: "position", min: first, max: last, step: "any" });
    slider.addEventListener("input", () => seek(slider.valueAsNumber));
    const shown = element("output", { for: "position" });
    clock.at = () => position;
    clock.heard = () => {};
    const step = now => {
        if (playing)
            seek(position + (now - before) * speed.value);
        if (playing && position >= last)
            toggle.click();
        before = now;
        slider.value = position;
        setText(shown, `${((position - first) / 1000).toFixed(1)} / ${((last - first) / 1000).toFixed(1)} s`);
        requestAnimationFrame(step);
    };
    showConnection("recording");
    requestAnimationFrame(step);
    return element("div", { id: "player", role: "group", "aria-label": say("recorded") }, toggle,
                   element("label", null, say("playerSpeed"), speed),
                   element("label", null, say("position"), slider), shown);
}
