/* Ask first: what a change will do, before it is made. */

let votes = null;

function showAsk({ server, ask }) {
    const asked = ask.pending !== null || ask.question !== null;
    byId("ask-on").setAttribute("aria-pressed", ask.on);
    byId("ask").hidden = !ask.on && !asked;
    byId("asked").hidden = !asked;
    byId("ask-waits").hidden = asked;
    byId("lesson-ask").classList.toggle("asked", asked);
    setText(byId("ask-question"), inLanguage(ask.question) ?? say("askQuestion"));
    setText(byId("ask-wish"), ask.pending ? wishText(ask.pending, server.strategy) : "");
    votes.show(ask.mine, ask.votes, ask.errors);
}

function startAsk() {
    votes = ballot(why => hear(why ?? "", why === null));
    byId("ballot").append(...votes.made);
    byId("ask-on").addEventListener("click", () => please("ask", { on: !seen.state.ask.on }));
    byId("ask-go").addEventListener("click", () => please("go", {}));
    byId("ask-cancel").addEventListener("click", () => please("cancel", {}));
}

on("hello", ({ room }) => {
    byId("room").hidden = !room;
    setText(byId("room-address"), room ?? "");
});
on("state", showAsk);
