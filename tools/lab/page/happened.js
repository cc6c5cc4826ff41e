/* What happened: what was done, newest first, each with what came of it; until then, how long it still takes. */

const MEASURED = ["change", "load", "slow", "silent", "burst", "crash", "hold", "release", "kill", "stop"];
const PATIENCE_MS = 20000;      /* later nothing comes any more */
const HAPPENED_MAX = 50;

let measuring = [], usual_ms = 7000;

function showOutcome(outcome) {
    usual_ms = outcome.t - outcome.mark.t;
    measuring = measuring.filter(mark => mark.t !== outcome.mark.t);
    byId("outcomes").prepend(element("li", null, outcomeElement(outcome)));
    while (byId("outcomes").children.length > HAPPENED_MAX)
        byId("outcomes").lastChild.remove();
    showMeasuring();
}

function showMeasuring() {
    const now = clock.at();
    measuring = measuring.filter(mark => now < mark.t + usual_ms + PATIENCE_MS);
    const newest = measuring.at(-1), left = newest ? Math.ceil((newest.t + usual_ms - now) / 1000) : 0;
    setText(byId("measuring"),
            newest ? `${doneText(newest)}: ${left > 0 ? say("measuring", left) : say("measuringSoon")}` : "");
    byId("measuring").hidden = !newest;
    byId("nothing-happened").hidden = newest || byId("outcomes").children.length > 0;
}

on("hello", ({ outcomes }) => {
    byId("outcomes").replaceChildren();
    measuring = [];
    outcomes.forEach(showOutcome);
    showMeasuring();
});
on("mark", mark => {
    if (MEASURED.includes(mark.what))
        measuring.push(mark);
    showMeasuring();
});
on("outcome", showOutcome);
on("numbers", showMeasuring);
