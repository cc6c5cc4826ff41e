/* What the workers did: for each lane a ring of its changes of state. Times are the lab's. */

const STATES = ["free", "starting", "waiting", "reading", "handling", "writing", "sleeping", "closing", "dead"];
const FREE = 0, STARTING = 1, WAITING = 2, CLOSING = 7, DEAD = 8;
const isIdle = state => state === FREE || state === WAITING || state === DEAD;

const KEPT_MS = 11000;                  /* a little more than what is shown */
const RING_MIN = 64, RING_MAX = 8192;   /* powers of two */
const OWNERS_MAX = 200;
const GENERATION = 65536;

class Lane {
    constructor(id) {
        this.id = id;
        this.generation = Math.floor(id / GENERATION);
        this.owners = [];
        this.ended = [];        /* of the last second, where only the longest states are known: [time, requests] */
        this.count = 0;
        this.makeRing(RING_MIN);
    }

    makeRing(room) {
        this.mask = room - 1;
        this.times = new Float64Array(room);
        this.states = new Uint8Array(room);
        this.ports = new Uint16Array(room);
    }

    oldest() {
        return Math.max(0, this.count - this.mask - 1);
    }

    grow() {
        const { times, states, ports, mask } = this, from = this.oldest();
        this.makeRing(2 * (mask + 1));
        for (let n = from; n < this.count; n++)
            this.put(n, times[n & mask], states[n & mask], ports[n & mask]);
    }

    put(n, time, state, port) {
        this.times[n & this.mask] = time;
        this.states[n & this.mask] = state;
        this.ports[n & this.mask] = port;
    }

    /* What ended before keptFrom may be forgotten. */
    add(time, state, port, keptFrom) {
        if (this.count > this.mask && this.times[(this.count + 1) & this.mask] > keptFrom && this.mask < RING_MAX - 1)
            this.grow();
        this.put(this.count, Math.max(time, this.lastTime()), state, port);
        this.count++;
        if (state === DEAD && this.owner())
            this.owner().died = time;
    }

    lastState() {
        return this.count ? this.states[(this.count - 1) & this.mask] : FREE;
    }

    lastTime() {
        return this.count ? this.times[(this.count - 1) & this.mask] : -Infinity;
    }

    /* The change that was the last one at that time; -1: nothing is known. */
    find(time) {
        let n = this.count - 1;
        while (n >= this.oldest() && this.times[n & this.mask] > time)
            n--;
        return n < this.oldest() ? -1 : n;
    }

    change(n) {
        return { state: this.states[n & this.mask], from: this.times[n & this.mask], port: this.ports[n & this.mask],
                 to: n + 1 < this.count ? this.times[(n + 1) & this.mask] : null };
    }

    end(time, count) {
        this.ended = [...this.ended.filter(([then]) => then > time - 1000), [time, count]];
    }

    /* Requests ended each second; null where each change of state is known. */
    rateAt(time) {
        const recent = this.ended.filter(([then]) => Math.abs(time - then) < 1000);
        return recent.length ? recent.reduce((sum, [, count]) => sum + count, 0) : null;
    }

    ownerAt(time) {
        return this.owners.findLast(owner => owner.from <= time) ?? this.owners[0];
    }

    owner() {
        return this.owners.at(-1);
    }

    /* Whose loop's place is taken by another process in the middle of something has died. */
    take(owner, keptFrom) {
        const before = this.owner();
        if (before?.accepts && before.pid !== owner.pid && ![FREE, CLOSING].includes(this.lastState()))
            before.died ??= owner.from;
        while (this.owners.length > 1 && this.owners[1].from < keptFrom)
            this.owners.shift();
        this.owners.push(owner);
        if (this.owners.length > OWNERS_MAX)
            this.owners.shift();
    }

    isFreeAt(time) {
        const n = this.find(time);
        return n < 0 || [FREE, DEAD].includes(this.states[n & this.mask]);
    }

    isShownAt(time) {
        return this.lastTime() > time - KEPT_MS || !this.isFreeAt(time);
    }
}

const lanes = new Map(), generations = new Map();
let missed = 0, lastFrame = null, keptSince = null;     /* keptSince: while paused, what is kept begins there */

function forgetLanes() {
    lanes.clear();
    generations.clear();
    lastFrame = null;
}

function laneOf(id) {
    if (!lanes.has(id))
        lanes.set(id, new Lane(id));
    return lanes.get(id);
}

function takeFrame(frame) {
    if (frame.full)
        forgetLanes();
    const began = frame.t - frame.ms, keptFrom = keptSince ?? began - KEPT_MS, fresh = new Set();
    for (const [id, worker, pid, tid, accepts] of frame.lanes) {
        laneOf(id).take({ from: began, worker, pid, tid, accepts, begins: !frame.full }, keptFrom);
        fresh.add(id);
    }
    for (let n = 0, events = frame.events; n < events.length; n += 4) {
        const id = events[n], time = began + events[n + 1] / 10, state = events[n + 2], port = events[n + 3];
        const lane = laneOf(id);
        if (state === STARTING && fresh.delete(id))
            lane.owner().from = time;
        lane.add(time, state, port, keptFrom);
    }
    for (let n = 0; n < frame.served.length; n += 2)
        laneOf(frame.served[n]).end(frame.t, frame.served[n + 1]);
    frame.generations.forEach(generation => generations.set(generation.number, generation));
    missed += frame.missed;
    lastFrame = frame;
    clock.heard(frame.t);
}

/* Those that have something to show, by generation. What has not been shown for long is forgotten. */
function shownLanes(time) {
    const groups = new Map();
    for (const lane of [...lanes.values()].sort((a, b) => a.id - b.id)) {
        if (lane.isShownAt(time))
            (groups.get(lane.generation) ?? groups.set(lane.generation, []).get(lane.generation)).push(lane);
        else if (lane.lastTime() < time - 2 * KEPT_MS && keptSince === null && lane.generation !== newestGeneration())
            lanes.delete(lane.id);
    }
    return groups;
}

/* The one that serves. */
function newestGeneration() {
    const now = lastFrame?.generations ?? [];
    return (now.find(({ state }) => state === "serving") ?? now.at(-1))?.number ?? 0;
}

/* Loops have lanes of their own. */
function loopsBefore(lane) {
    let count = 0;
    for (let id = lane.generation * GENERATION; id < lane.id; id++)
        count += lanes.get(id)?.owner()?.accepts ?? 0;
    return count;
}

/* A loop that accepts is a worker; what it makes for a request has the name of its strategy. */
function workerName(lane, owner) {
    const parts = generations.get(lane.generation)?.strategy.split("+") ?? [];
    if (owner?.accepts === 0 && parts.length)
        return `${parts.at(-1).split(":")[0]} ${lane.id % GENERATION + 1 - loopsBefore(lane)}`;
    return say("worker", (owner?.worker ?? lane.id % GENERATION) + 1);
}

on("hello", () => { missed = 0; clock.offset = Infinity; forgetLanes(); });
on("frame", takeFrame);
