/* The page of the class: what is asked, a vote, and what came of it. */

let votes = null;

function isVoted(mine) {
    return Boolean(mine?.speed && mine?.errors);
}

function showRoom({ question, pending, votes: speeds, errors, mine, outcome, strategy }) {
    const asked = question !== null || pending !== null;
    setText(byId("ask-question"), asked ? inLanguage(question) ?? say("askQuestion") : say("roomWaits"));
    setText(byId("ask-wish"), pending ? wishText(pending, strategy) : say("roomServer", strategy));
    byId("ballot").hidden = !asked;
    byId("ballot").classList.toggle("secret", !isVoted(mine));
    votes.show(mine, speeds, errors);
    setText(byId("own-vote"), asked && isVoted(mine) ? say("ownVote", say(mine.speed), say(mine.errors))
        : asked && mine ? say("bothPlease") : "");
    byId("last").hidden = !outcome;
    byId("outcomes").replaceChildren(outcome ? outcomeElement(outcome) : "");
}

function begin() {
    fillWords();
    votes = ballot(why => setText(byId("said"), why ?? ""));
    byId("ballot").append(...votes.made);
    connect(["room"]);
}

on("room", showRoom);
begin();
