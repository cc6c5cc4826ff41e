/* A lesson beside the exchange: its text, step by step, and why it came so when that is seen. */

let stepBegan = 0, outcomeSince = 0;

function lessonNow() {
    const { lesson } = seen.state ?? {};
    const script = lesson && seen.hello.lessons.find(({ name }) => name === lesson.name);
    return script ? { ...lesson, script, now: script.steps[lesson.step] } : null;
}

function isExplained({ now }) {
    return Boolean(now.explain) && (!now.ask || outcomeSince >= stepBegan);
}

function showLesson() {
    const lesson = lessonNow();
    byId("lesson").hidden = !lesson;
    byId("lesson-choice").value = lesson?.name ?? "";
    if (!lesson)
        return;
    const { script, step, now } = lesson;
    setText(byId("lesson-title"), inLanguage(script.title));
    setText(byId("lesson-step"), say("step", step + 1, script.steps.length));
    byId("lesson-text").replaceChildren(...paragraphs(inLanguage(now.text)));
    byId("lesson-ask").replaceChildren(...paragraphs(inLanguage(now.ask)));
    byId("lesson-ask").hidden = !now.ask;
    byId("lesson-explain").hidden = !isExplained(lesson);
    byId("lesson-explain-text").replaceChildren(...paragraphs(inLanguage(now.explain)));
    setText(byId("lesson-source"), script.source && step === 0 ? say("source", script.source) : "");
    byId("lesson-previous").disabled = step === 0;
    byId("lesson-next").disabled = step + 1 >= script.steps.length;
}

function goTo(name, step) {
    please("lesson", name ? { name, step } : { name: null });
}

function stepBy(steps) {
    const lesson = lessonNow();
    if (lesson && lesson.step + steps in lesson.script.steps)
        goTo(lesson.name, lesson.step + steps);
}

function startLessons() {
    byId("lesson-choice").addEventListener("change", event => goTo(event.target.value, 0));
    byId("lesson-next").addEventListener("click", () => stepBy(1));
    byId("lesson-previous").addEventListener("click", () => stepBy(-1));
    byId("lesson-end").addEventListener("click", () => goTo(null));
}

on("hello", ({ lessons, marks, outcomes }) => {
    fillSelect(byId("lesson-choice"), [["", say("noLesson")],
                                       ...lessons.map(({ name, title }) => [name, inLanguage(title)])]);
    stepBegan = marks.findLast(({ what }) => what === "lesson")?.t ?? 0;
    outcomeSince = outcomes.at(-1)?.mark.t ?? 0;
});
on("state", showLesson);
on("mark", ({ what, t }) => { stepBegan = what === "lesson" ? t : stepBegan; showLesson(); });
on("outcome", ({ mark }) => { outcomeSince = mark.t; showLesson(); });
