/* What the pages are made of: elements, numbers in words, requests. All text of the data gets in as text, never as
 * HTML. */

const byId = id => document.getElementById(id);

function element(tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes ?? {}))
        made.setAttribute(name, value);
    made.append(...children.flat(Infinity).filter(child => child !== null));
    return made;
}

function button(text, attributes, pressed) {
    const made = element("button", { type: "button", ...attributes }, text);
    made.addEventListener("click", pressed);
    return made;
}

/* Choices of a select; it is made anew only when they differ, so that an open one stays open. */
function fillSelect(select, choices) {
    const key = JSON.stringify(choices), chosen = select.value;
    if (select.dataset.choices === key)
        return;
    select.dataset.choices = key;
    select.replaceChildren(...choices.map(([value, text]) => element("option", { value }, text)));
    if (choices.some(([value]) => String(value) === chosen))
        select.value = chosen;
}

/* The texts that stand in the HTML as keys. */
function fillWords() {
    document.documentElement.lang = LANGUAGE;
    document.title = say("title");
    for (const target of document.querySelectorAll("[data-word]"))
        target.textContent = say(target.dataset.word);
    for (const target of document.querySelectorAll("[data-label]"))
        target.setAttribute("aria-label", say(target.dataset.label));
}

function setText(target, text) {
    if (target.textContent !== text)
        target.textContent = text;
}

/* What stands between two `...` is what is typed. */
function paragraphs(text) {
    const typed = (part, n) => n % 2 ? element("code", null, part) : part;
    return (text ?? "").split("\n").filter(line => line.trim())
        .map(line => element("p", null, line.split("`").map(typed)));
}

function number(value, digits = 0) {
    return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/* With as many digits as its size deserves. */
function rounded(value) {
    const size = Math.abs(value);
    return number(value, size < 10 && !Number.isInteger(value) ? 1 : 0);
}

function duration(ms) {
    return ms < 1 ? `${Math.round(ms * 1000)} µs` : ms < 10 ? `${ms.toFixed(1)} ms` : ms < 1000 ? `${Math.round(ms)} ms`
        : ms < 1e5 ? `${Number((ms / 1000).toFixed(1))} s` : `${Math.round(ms / 6e4)} min`;
}

function size(bytes) {
    return bytes < 1e6 ? `${number(bytes / 1000)} kB` : `${number(bytes / 1e6, 1)} MB`;
}

/* Sends an order. Resolves to null when it was taken, otherwise to the reason. */
async function order(path, body) {
    try {
        const answer = await fetch(path, { method: "POST", body: JSON.stringify(body),
                                           headers: { "Content-Type": "application/json" } });
        return answer.ok ? null : (await answer.json()).why;
    } catch {
        return say("noAnswer");
    }
}

function handlerText({ handler, options }) {
    return [handler, ...options ?? []].join(" ");
}

/* A share of the votes for each choice, as bars. */
function voteBars(votes, names) {
    const total = names.reduce((sum, name) => sum + (votes[name] ?? 0), 0);
    return element("ul", { class: "votes" }, names.map(name => {
        const bar = element("i");
        bar.style.width = `${total ? 100 * (votes[name] ?? 0) / total : 0}%`;
        return element("li", null, element("span", null, say(name)), element("span", { class: "track" }, bar),
                       element("b", null, String(votes[name] ?? 0)));
    }));
}
