/* What the page is made of: elements, numbers in words, tables. All text of the data gets in as text, never as HTML. */

const data = JSON.parse(document.getElementById("data").textContent);

function element(tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes ?? {}))
        made.setAttribute(name, value);
    made.append(...children.flat(Infinity).filter(child => child !== null));
    return made;
}

function drawn(tag, attributes, ...children) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes))
        made.setAttribute(name, value);
    made.append(...children);
    return made;
}

function number(value, digits = 0) {
    return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/* With as many digits as its size deserves. */
function milliseconds(value) {
    return number(value, value < 10 ? 2 : value < 100 ? 1 : 0);
}

function plural(count, one, many = one + "s") {
    return `${number(count)} ${count === 1 ? one : many}`;
}

function seconds(value) {
    const minutes = Math.floor(Math.round(value) / 60);
    return minutes ? `${minutes} min ${Math.round(value) % 60} s` : `${Number(value.toFixed(1))} s`;
}

/* A latency for an axis: a round number of µs. */
function shortTime(us) {
    return us < 1000 ? `${us} µs` : us < 1e6 ? `${us / 1000} ms` : `${us / 1e6} s`;
}

function median(values) {
    const sorted = [...values].sort((a, b) => a - b), middle = sorted.length >> 1;
    return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/* columns: [title, "text" or "number"]. rows: the first cell of each names it; a cell is text or an element. */
function table(caption, columns, rows) {
    const cell = (content, column) => element("td", { class: columns[column][1] }, content ?? "–");
    return element("div", { class: "scroll" },
        element("table", null,
            element("caption", null, caption),
            element("thead", null, element("tr", null,
                columns.map(([title, kind]) => element("th", { scope: "col", class: kind }, title)))),
            element("tbody", null, rows.map(([name, ...cells]) => element("tr", null,
                element("th", { scope: "row" }, name), cells.map((content, n) => cell(content, n + 1)))))));
}

/* A chart with its heading and its table beside it. */
function figure(title, notes, drawing, figures) {
    return element("section", { class: "figure" },
        element("header", null, element("h3", null, title),
            notes.filter(note => note).map(note => element("p", null, note))),
        element("div", { class: "drawing" }, drawing), figures);
}

/* Boxes to tick, one for each contestant; `changed` gets a set of the ticked indices. */
function chooser(title, contestants, swatch, changed) {
    const ticked = new Set(contestants.keys());
    const box = (contestant, n) => {
        const input = element("input", { type: "checkbox", checked: "" });
        input.addEventListener("change", () => {
            input.checked ? ticked.add(n) : ticked.delete(n);
            changed(ticked);
        });
        return element("label", null, input, swatch(n), contestant.name);
    };
    return element("fieldset", { class: "chooser" }, element("legend", null, title), contestants.map(box));
}

/* What scrolls within the page must be reached by the keyboard; what does not, need not. */
function letKeysScroll() {
    const look = new ResizeObserver(entries => {
        for (const { target } of entries)
            target.scrollWidth > target.clientWidth ? target.setAttribute("tabindex", "0")
                                                    : target.removeAttribute("tabindex");
    });
    document.querySelectorAll(".scroll").forEach(target => look.observe(target));
}
