/* The page as a whole: keys, recording, and where its events come from. */

const EVENTS = ["hello", "state", "frame", "numbers", "mark", "outcome"];

/* [keys, what is said of them, what they do] */
const SHORTCUTS = [
    [[" "], "keySpace", () => togglePause(), "space"],
    [["+", "="], "keyZoom", () => zoomBy(1), "+"],
    [["-"], "keyZoom", () => zoomBy(-1), "−"],
    [["e"], "keyExchange", () => byId("exchange").focus()],
    [["c"], "keyChange", () => byId("strategy-text").focus()],
    [["l"], "keyLoad", () => byId("load-callers").focus()],
    [["h"], "keyHappened", () => byId("outcomes").focus()],
    [["n"], "keyNumbers", () => byId("numbers").focus()],
    [["]", "PageDown"], "keyLesson", () => stepBy(1), "]"],
    [["[", "PageUp"], "keyLesson", () => stepBy(-1), "["],
    [["a"], "keyAsk", () => byId("ask-on").click()],
    [["g"], "keyGo", () => byId("ask").hidden || byId("ask-go").click()],
    [["r"], "keyRecord", () => byId("record").click()],
    [["?"], "keyHelp", () => byId("shortcuts").showModal()],
];

function describeShortcuts() {
    const texts = new Map();
    for (const [[key], word, , shown] of SHORTCUTS)
        texts.set(word, [...texts.get(word) ?? [], shown ?? key]);
    texts.set("keyArrows", ["← → ↑ ↓"]);
    texts.set("keyEnter", ["Enter"]);
    byId("shortcut-list").replaceChildren(...[...texts].flatMap(([word, keys]) => [
        element("dt", null, keys.map(key => element("kbd", null, key))), element("dd", null, say(word))]));
}

function takeKey(event) {
    const { target, key } = event;
    const typing = target.closest("input, select, textarea, dialog"), own = key === " " && target.closest("button, a");
    if (typing || own || event.ctrlKey || event.metaKey || event.altKey)
        return;
    const shortcut = SHORTCUTS.find(([keys]) => keys.includes(key));
    if (!shortcut || (key.startsWith("Page") && !lessonNow()))
        return;
    event.preventDefault();
    shortcut[2]();
}

function showRecording({ recording, recorded }) {
    byId("record").setAttribute("aria-pressed", recording);
    setText(byId("record"), say(recording ? "recordStop" : "record"));
    byId("recording-link").hidden = recording || !recorded;
    setText(byId("recording-link"), say("recordingLink", size(recorded)));
}

/* What is recorded can be looked at, not changed. */
function playRecording(events) {
    document.documentElement.classList.add("recording");
    document.querySelectorAll(".live").forEach(part => { part.hidden = true; });
    for (const part of document.querySelectorAll(".live, .live :is(button, input, select), #ballot button"))
        part.disabled = true;
    byId("pause").hidden = true;
    byId("bar").after(player(events));
}

function begin() {
    fillWords();
    startExchange();
    startNumbers();
    startControls();
    startAsk();
    startLessons();
    describeShortcuts();
    document.addEventListener("keydown", takeKey);
    byId("shortcuts-open").addEventListener("click", () => byId("shortcuts").showModal());
    byId("shortcuts-close").addEventListener("click", () => byId("shortcuts").close());
    byId("record").addEventListener("click", () => please("record", { on: !seen.state.recording }));
    const recording = byId("recording");
    if (recording)
        playRecording(JSON.parse(recording.textContent));
    else
        connect(EVENTS, SILENCE_MS);
}

on("state", showRecording);
begin();
