// @ts-check
// What a conversation forks into: a message that was edited and a reply that was written anew stay,
// with all that came after them. chat/core/export.py says how that is saved.

/**
 * @typedef {Message[] & {made?: Made | null}} Row what one side says until the other does
 * @typedef {Map<number, (Branch | null)[]>} Forks by how many rows of their branch come before: the
 *     ways on from there, in the order in which they came. Null is the one that the branch takes.
 * @typedef {{rows: Row[], forks: Forks}} Branch a conversation from some message on
 */

/** @returns {Branch} */
function emptyBranch() {
    return {rows: [], forks: new Map()};
}

/**
 * Return the rows of a history, as the page shows them.
 * @param {Message[]} history
 */
function rowsOf(history) {
    /** @type {Row[]} */
    const rows = [];
    for (const message of history)
        if (rows.at(-1)?.[0].role === message.role) rows[rows.length - 1].push(message);
        else rows.push([message]);
    return rows;
}

/** @param {Row[]} rows */
const saysOf = (rows) => textsOf(rows.flat());

/**
 * Take what comes after so many rows off a branch, with all that it forks into.
 * @param {Branch} branch
 * @param {number} at
 */
function cut(branch, at) {
    const taken = emptyBranch();
    taken.rows = branch.rows.splice(at);
    for (const [place, ways] of branch.forks) {
        if (place <= at) continue;
        branch.forks.delete(place);
        taken.forks.set(place - at, ways);
    }
    return taken;
}

/**
 * Have a branch go on as another one does.
 * @param {Branch} branch
 * @param {Branch} way
 */
function add(branch, {rows, forks}) {
    const at = branch.rows.length;
    branch.rows.push(...rows);
    for (const [place, ways] of forks) branch.forks.set(place + at, ways);
}

/**
 * Have a branch take one of the ways on after so many rows. The one it has taken is the last of the
 * others now, or gone if it is not to be kept.
 * @param {Branch} branch
 * @param {number} at
 * @param {number} number which way
 * @param {boolean} keeps
 */
function take(branch, at, number, keeps = true) {
    const ways = branch.forks.get(at);
    const way = ways?.[number];
    if (!ways || !way) return;
    const left = cut(branch, at), taken = ways.indexOf(null);
    ways[number] = null;
    if (keeps && left.rows.length) ways[taken] = left;
    else ways.splice(taken, 1);
    if (ways.length < 2) branch.forks.delete(at);
    add(branch, way);
}

/**
 * Bring a branch to what is on the screen now. What was there in place of it stays as another way,
 * unless it is only longer now, or was taken back.
 * @param {Branch} branch
 * @param {Message[]} history
 * @param {boolean} coming whether a reply is about to follow
 */
function bringTo(branch, history, coming) {
    const rows = rowsOf(history);
    const differs = rows.findIndex((row, at) => saysOf([row]) !== saysOf(branch.rows.slice(at, at + 1)));
    const at = differs < 0 ? rows.length : differs;
    const rest = rows.slice(at);
    const ways = branch.forks.get(at) ?? [null];
    const back = ways.findIndex((way) => way && rest.length && saysOf(way.rows) === saysOf(rest));
    if (back >= 0) {  // as nothing came in its place
        const was = branch.rows.slice(at);
        return take(branch, at, back, was.some(([{role}]) => role === "assistant"));
    }
    const was = cut(branch, at);
    if (was.rows.length && (rest.length ? !goesOn(was.rows, rest) : coming)) {
        ways[ways.indexOf(null)] = was;
        branch.forks.set(at, [...ways, null]);
    }
    add(branch, {rows: rest, forks: new Map()});
}

/**
 * Return whether one reply is the beginning of another.
 * @param {Row[]} one
 * @param {Row[]} other
 */
function goesOn([row, ...more], [other]) {
    const [said, says] = [row, other].map((messages) => messages.map(({content}) => textOf(content)));
    return !more.length && row[0].role === "assistant" && other[0].role === "assistant" &&
        says.join("").startsWith(said.join(""));
}

/**
 * Take a row out of a branch: where there are others in its place, with what came after it, and
 * else alone.
 * @param {Branch} branch
 * @param {number} at
 */
function takeOut(branch, at) {
    const ways = branch.forks.get(at);
    if (ways) {
        const taken = ways.indexOf(null);
        return take(branch, at, taken ? taken - 1 : 1, false);
    }
    branch.rows.splice(at, 1);
    const [above, below] = branch.rows.slice(at && at - 1, at + 1);
    const meet = at && below && above[0].role === below[0].role;
    if (meet) above.push(...branch.rows.splice(at, 1)[0]);
    const gone = meet ? 2 : 1;
    branch.forks = new Map([...branch.forks].flatMap(([place, ways]) => {
        if (place < at) return [[place, ways]];
        return place < at + gone ? [] : [[place - gone, ways]];
    }));
}

/**
 * Return a branch as the server takes it.
 * @param {Branch} branch
 * @returns {SavedBranch}
 */
function packed({rows, forks}) {
    return {
        messages: rows.flat(),
        made: rows.map(({made}) => made ?? null),
        versions: [...forks].map(([at, ways]) => ({at, ways: ways.map((way) => way && packed(way))})),
    };
}

/**
 * Return the branch that the server has opened.
 * @param {SavedBranch} saved
 * @returns {Branch}
 */
function unpacked({messages, made, versions}) {
    const rows = rowsOf(messages);
    rows.forEach((row, at) => row.made = made[at]);
    /** @type {[number, (Branch | null)[]][]} */
    const forks = versions.map(({at, ways}) => [at, ways.map((way) => way && unpacked(way))]);
    return {rows, forks: new Map(forks)};
}
