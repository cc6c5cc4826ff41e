/* A vote: how fast, and with errors or not. */

const SPEEDS = ["faster", "slower", "same"], ERRORS = ["none", "some"];

/* What a change would change, in words. */
function wishText(wish, strategy) {
    const parts = ["strategy", "workers", "accept", "handler"].filter(part => wish[part])
        .map(part => sayOf("wish", part, wish[part]));
    const all = [...parts, ...wish.options ?? []];
    return all.length ? say("becomes", strategy, all.join(say("comma"))) : "";
}

/* Buttons for a vote, each with its share of all. `told` gets the reason if a vote was refused, otherwise null. What is
 * chosen is what the lab has counted: show(). */
function ballot(told) {
    const choices = (what, names) => names.map(name => ({
        what, name, bar: element("i"), count: element("b"),
        made: button(say(name), { id: `vote-${name}` }, () => order("vote", { [what]: name }).then(told)),
    }));
    const speeds = choices("speed", SPEEDS), errors = choices("errors", ERRORS);
    const showGroup = (group, mine, votes) => {
        const total = group.reduce((sum, { name }) => sum + votes[name], 0);
        for (const { what, name, made, bar, count } of group) {
            made.setAttribute("aria-pressed", mine?.[what] === name);
            bar.style.width = `${total ? 100 * votes[name] / total : 0}%`;
            setText(count, String(votes[name]));
        }
    };
    const group = (word, choices) => element("div", { class: "ballot", role: "group", "aria-label": say(word) },
        element("span", null, say(word)),
        choices.map(({ made, bar, count }) => [made, element("span", { class: "track" }, bar), count]));
    return {
        made: [group("speed", speeds), group("errorsAsked", errors)],
        show(mine, speedVotes, errorVotes) {
            showGroup(speeds, mine, speedVotes);
            showGroup(errors, mine, errorVotes);
        },
    };
}
