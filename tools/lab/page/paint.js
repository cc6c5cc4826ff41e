/* Lanes as pixels. Each pixel of a lane's row shows the state at one moment within its time; a tile of the state's
 * colours and pattern fills it. So a picture costs the same however much happens. */

const TILE = 8;
const JITTER = [0.06, 0.56, 0.31, 0.81, 0.19, 0.69, 0.44, 0.94];    /* where in a pixel, by its number in all time */
const SPARSE_PX = 3;    /* who comes after so long a pause is always seen */

const stripes = (x, y) => (x + y) % TILE < 4, backStripes = (x, y) => (x + TILE - y) % TILE < 3;
const dots = (x, y) => x % 4 < 2 && y % 4 < 2, rows = (x, y) => y % 4 < 1, gaps = (x, y) => y % 4 > 2;
const PATTERNS = [
    ["paper", "paper", null], ["soft", "paper", dots], ["waiting-ground", "waiting-ground", null],
    ["reading", "reading-ground", stripes], ["handling", "handling", null], ["paper", "writing", gaps],
    ["sleeping", "sleeping-ground", rows], ["soft", "line", backStripes], ["paper", "paper", null],
];

function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
}

function wordOf(name) {
    const sheet = element("canvas", { width: 1, height: 1 }), pen = sheet.getContext("2d");
    pen.fillStyle = colour(name);
    pen.fillRect(0, 0, 1, 1);
    return new Uint32Array(pen.getImageData(0, 0, 1, 1).data.buffer)[0];
}

/* For each state what its pixels are, row by row; level: from the upper edge of its lane on, not of the picture. */
function makeTiles() {
    return PATTERNS.map(([ink, ground, isInk]) => {
        const inkWord = wordOf(ink), groundWord = wordOf(ground);
        const words = Uint32Array.from({ length: TILE * TILE },
            (_, n) => isInk?.(n % TILE, Math.floor(n / TILE)) ? inkWord : groundWord);
        return { solid: isInk === null, level: [rows, gaps].includes(isInk), words };
    });
}

/* Fills `columns` with the lane's state in each pixel; base: the first one's number in all time. */
function sampleStates(lane, { base, scale }, columns) {
    const { times, states, mask } = lane, oldest = lane.oldest();
    let n = lane.count - 1;
    for (let x = columns.length - 1; x >= 0; x--) {
        const pixel = base + x, at = (pixel + JITTER[pixel % TILE]) / scale;
        let longest = 0, passed = -1;
        for (let skipped = false; n >= oldest && times[n & mask] > at; n--, skipped = true) {
            const state = states[n & mask];
            const length = skipped ? times[(n + 1) & mask] - times[n & mask] : 0;
            if (length > longest && !isIdle(state)) {
                longest = length;
                passed = state;
            }
        }
        columns[x] = n < oldest ? FREE : states[n & mask];
        const paused = n < oldest ? Infinity : (times[(n + 1) & mask] - times[n & mask]) * scale;
        if (passed > 0 && isIdle(columns[x]) && paused > SPARSE_PX)
            columns[x] = passed;
    }
}

function paintPattern(words, start, begin, end, tile, line, shift) {
    for (let x = begin; x < end; x++)
        words[start + x] = tile[line * TILE + (x + shift) % TILE];
}

/* A lane's pixels, `height` of them from y on. */
function paintRow(picture, y, height, columns, tiles, shift) {
    const { words, width } = picture;
    for (let begin = 0, end = 1; begin < width; begin = end++) {
        const state = columns[begin];
        while (end < width && columns[end] === state)
            end++;
        if (state === FREE || state === DEAD)
            continue;
        const tile = tiles[state];
        for (let row = y; row < y + height; row++)
            if (tile.solid)
                words.fill(tile.words[0], row * width + begin, row * width + end);
            else
                paintPattern(words, row * width, begin, end, tile.words, (tile.level ? row - y : row) % TILE, shift);
    }
}

/* A swatch for the legend. */
function stateSwatch(state, tiles) {
    const sheet = element("canvas", { width: 26, height: 14, class: "swatch", "aria-hidden": "true" });
    const pen = sheet.getContext("2d"), image = pen.createImageData(26, 14);
    const picture = { words: new Uint32Array(image.data.buffer), width: 26 };
    picture.words.fill(wordOf("paper"));
    paintRow(picture, 0, 14, new Uint8Array(26).fill(state), tiles, 0);
    pen.putImageData(image, 0, 0);
    return sheet;
}
