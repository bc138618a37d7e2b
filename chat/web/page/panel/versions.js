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
 * Have a branch end after so many rows, and what came after them be one of the ways on.
 * @param {Branch} branch
 * @param {number} at
 */
function leave(branch, at) {
    const ways = branch.forks.get(at) ?? [null];
    ways[ways.indexOf(null)] = cut(branch, at);
    branch.forks.set(at, [...ways, null]);
}

/**
 * Have a branch that ends where others go on take the last of those, if there are any.
 * @param {Branch} branch
 */
function takeBack(branch) {
    const at = branch.rows.length, ways = branch.forks.get(at) ?? [];
    const last = ways.length - (ways.at(-1) ? 1 : 2);
    take(branch, at, last, false);
}

/**
 * Have a branch take one of the ways on after so many rows. The one it has taken is one of the
 * others now, in its place, or gone if it is not to be kept.
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
    const ways = branch.forks.get(at) ?? [];
    const was = branch.rows.slice(at);
    const answered = was.some(([{role}]) => role === "assistant");
    const back = ways.findIndex((way) => way && rest.length && saysOf(way.rows) === saysOf(rest));
    if (back >= 0) return take(branch, at, back, answered);  // nothing came in its place
    if (answered && (rest.length ? !goesOn(was, rest) : coming)) leave(branch, at);
    else cut(branch, at);
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
        said.every((text, part) => says[part]?.startsWith(text));
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
    const gone = meet ? 2 : 1;
    const beside = meet ? branch.forks.get(at + 1) : undefined;  // versions of the one below
    branch.forks = new Map([...branch.forks].flatMap(([place, ways]) => {
        if (place < at) return [[place, ways]];
        return place < at + gone ? [] : [[place - gone, ways]];
    }));
    if (!meet) return;
    const others = beside?.map((way) => way && withAbove(above, way)) ?? [];
    const there = branch.forks.get(at - 1);
    if (there) there.push(...others.filter(Boolean));
    else if (beside) branch.forks.set(at - 1, others);
    branch.rows.splice(at - 1, 2, together(above, below));
}

/**
 * Return a branch that begins with a row of the same side before its own.
 * @param {Row} above
 * @param {Branch} way
 */
function withAbove(above, {rows: [first, ...rows], forks}) {
    return {rows: [together(above, first), ...rows], forks};
}

/**
 * Return what one side says in two rows as the server saves it: as one text, if it is no more.
 * @param {Row} above
 * @param {Row} below
 * @returns {Row}
 */
function together(above, below) {
    const [one, ...more] = [...above, ...below];
    if (above.length > 1 || below.length > 1 || one.metadata?.title) return [one, ...more];
    // As the server would show it: what a user says is no Markdown (chat/web/page/escape.py).
    const lines = one.role === "user" ? "&#0010;&#0010;" : "\n\n";
    const text = textOf(one.content) + lines + textOf(more[0].content);
    return [{...one, content: [{type: "text", text}]}];
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
 * Return how many other versions are saved with a branch.
 * @param {SavedBranch} saved
 * @returns {number}
 */
const waysIn = ({versions}) => versions.flatMap(({ways}) => ways)
    .reduce((sum, way) => sum + (way ? 1 + waysIn(way) : 0), 0);

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
